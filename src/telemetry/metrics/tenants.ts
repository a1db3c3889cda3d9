/** Metrics of those who share the queue. */
import type { Completion } from '../../domain/completion.js';
import type { Families } from './families.js';
import { type Labels, NO_TENANT, OTHER_TENANT } from './labels.js';

export interface TenantFacts {
  /** Tenants that have labels of their own. */
  readonly tenants: readonly string[];
  /** The tenant of jobs without one is `''`. */
  readonly jobsByTenant: () => ReadonlyMap<string, { readonly active: number; readonly waiting: number }>;
}

/** Upper bounds in seconds. A job may lie in the queue for hours. */
const QUEUED_BUCKETS = [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900, 3600];
const STATES = ['active', 'waiting'] as const;

export function tenantMetrics(families: Families, labels: Labels, { tenants, jobsByTenant }: TenantFacts) {
  families.gauges(
    'imagen_tenant_jobs',
    'Jobs that the worker has pulled, by tenant: in work, or waiting for a place',
    ['tenant', 'state'],
    () => {
      const counts = new Map(
        [...tenants, OTHER_TENANT, NO_TENANT].flatMap((tenant) =>
          STATES.map((state) => [`${state} ${tenant}`, { tenant, state, jobs: 0 }]),
        ),
      );
      for (const [name, jobs] of jobsByTenant()) {
        for (const state of STATES) {
          const count = counts.get(`${state} ${labels.tenant(name)}`);
          if (count) count.jobs += jobs[state];
        }
      }
      return [...counts.values()].map(({ jobs, ...values }) => [values, jobs] as const);
    },
  );
  const queued = families.histogram(
    'imagen_tenant_queued_seconds',
    'Time from publish to the start of the work, by tenant',
    ['tenant'],
    QUEUED_BUCKETS,
  );
  return {
    tenantServed({ tenant, timingsMs }: Pick<Completion, 'tenant' | 'timingsMs'>): void {
      if (timingsMs?.queued !== undefined) queued.observe({ tenant: labels.tenant(tenant) }, timingsMs.queued / 1000);
    },
  };
}
