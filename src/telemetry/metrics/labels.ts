import { PLANS } from '../../domain/completion.js';
import { ERROR_CODES } from '../../domain/errors.js';
import { type Arm, armLabel } from '../../domain/experiment.js';
import type { ModelServer } from '../../domain/ports.js';

/** Label value for everything outside the known set. */
export const UNKNOWN = 'unknown';

/**
 * Takes every label value from a set that no job can enlarge. Names of models and versions come from messages, so only those
 * that Triton has served are used. A name stays known after its model is gone, since a job may end slightly later.
 */
export interface Labels {
  model(name: string | undefined): string;
  served(model: string | undefined, version: string | undefined): { readonly model: string; readonly version: string };
  /** `<experiment>/<arm>`, or `default` if the job is in no experiment. */
  arm(name: string | undefined): string;
  /** The model and version of an arm, and its name. */
  ofArm(arm: Arm): { readonly model: string; readonly version: string; readonly arm: string };
  /** A JobError code, or the name of another reason to put a job off; empty if there is no error. */
  code(code: string | undefined): string;
  plan(name: string): string;
  /** The tenant if it is among the configured ones; `other`, or `none` for a job without one. */
  tenant(name: string | undefined): string;
  /** All versions that are served now. */
  known(): { readonly model: string; readonly version: string }[];
}

/** Most arms that keep their name after they leave the routes. Jobs in flight may still end on such an arm. */
const MOST_FORMER_ARMS = 100;
const ARM = /^[\w.:~-]{1,64}(?:\/[\w.:~-]{1,64})?$/;

/** Errors that are not codes of jobs, for which a message is given back or put back. */
const OTHER_REASONS = ['GivenBack', 'Unbegun'];
const CODES = new Set<string>([...ERROR_CODES, ...OTHER_REASONS]);

export const NO_ARM = 'default';
export const OTHER_TENANT = 'other';
export const NO_TENANT = 'none';

/**
 * @param arms in the routes; they are few, and each has its own name
 * @param tenants those that are configured
 */
export function createLabels(
  catalogue: Pick<ModelServer, 'contracts'>,
  arms: () => readonly Arm[],
  tenants: readonly string[] = [],
): Labels {
  const known = new Set(tenants);
  const seen = new Map<string, Set<string>>();
  const former = new Set<string>();

  function versionsOf(model: string): ReadonlySet<string> | undefined {
    const now = catalogue.contracts().get(model);
    if (!now) return seen.get(model);
    const known = seen.get(model) ?? new Set();
    for (const version of now.versions.keys()) known.add(version);
    seen.set(model, known);
    return known;
  }

  function served(model: string | undefined, version: string | undefined) {
    const versions = model === undefined ? undefined : versionsOf(model);
    if (model === undefined || !versions) return { model: UNKNOWN, version: UNKNOWN };
    return { model, version: version !== undefined && versions.has(version) ? version : UNKNOWN };
  }

  function arm(name: string | undefined): string {
    if (name === undefined) return NO_ARM;
    if (former.has(name) || arms().some((one) => armLabel(one) === name)) return name;
    if (former.size >= MOST_FORMER_ARMS || !ARM.test(name)) return UNKNOWN;
    former.add(name);
    return name;
  }

  return {
    model: (name) => (name !== undefined && versionsOf(name) ? name : UNKNOWN),
    served,
    arm,
    ofArm: (one) => ({ model: one.model, version: one.version, arm: arm(armLabel(one)) }),
    code: (code) => (code === undefined ? '' : CODES.has(code) ? code : UNKNOWN),
    plan: (name) => (PLANS.some((plan) => plan === name) ? name : UNKNOWN),
    tenant: (name = '') => (name === '' ? NO_TENANT : known.has(name) ? name : OTHER_TENANT),
    known: () =>
      [...catalogue.contracts()].flatMap(([model, { versions }]) =>
        [...versions.keys()].map((version) => ({ model, version })),
      ),
  };
}
