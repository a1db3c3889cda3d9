/**
 * The HorizontalPodAutoscaler's algorithm, as Kubernetes documents it ("Algorithm details", "Configurable scaling
 * behavior") and as its controller computes it (pkg/controller/podautoscaler: replica_calculator.go, horizontal.go).
 */

/** The controller's default, `--horizontal-pod-autoscaler-sync-period`. */
export const SYNC_SECONDS = 15;

/** External: `averageValue` shares the value out, `value` multiplies the pods that are ready. Pods, Resource: means. */
export type Metric =
  | { readonly type: 'External' | 'Pods' | 'Resource'; readonly name: string; readonly averageValue: number }
  | { readonly type: 'External'; readonly name: string; readonly value: number };

export interface Rules {
  readonly stabilizationWindowSeconds: number;
  readonly policies: readonly { type: 'Pods' | 'Percent'; value: number; periodSeconds: number }[];
  readonly selectPolicy: 'Max' | 'Min';
}

export interface HpaSpec {
  readonly minReplicas: number;
  readonly maxReplicas: number;
  readonly metrics: readonly Metric[];
  readonly scaleUp: Rules;
  readonly scaleDown: Rules;
  readonly tolerance: number;
}

/** Kubernetes' defaults for what a manifest leaves out. */
export const DEFAULT_UP: Rules = {
  stabilizationWindowSeconds: 0,
  policies: [
    { type: 'Pods', value: 4, periodSeconds: 15 },
    { type: 'Percent', value: 100, periodSeconds: 15 },
  ],
  selectPolicy: 'Max',
};
export const DEFAULT_DOWN: Rules = {
  stabilizationWindowSeconds: 300,
  policies: [{ type: 'Percent', value: 100, periodSeconds: 15 }],
  selectPolicy: 'Max',
};
export const DEFAULT_TOLERANCE = 0.1;

export interface Sight {
  readonly replicas: number;
  readonly ready: number;
  /** Undefined where there is none yet. */
  readonly read: (metric: Metric) => Reading | undefined;
}

export interface Reading {
  /** An external metric's value, or the sum over the pods that report. */
  readonly value: number;
  /** How many of the ready pods report: a new pod's first sample comes late. Without meaning for external metrics. */
  readonly pods: number;
}

/** One HorizontalPodAutoscaler; `decide` is to be called every SYNC_SECONDS. */
export class Hpa {
  #recommended: { readonly at: number; readonly replicas: number }[] = [];
  /** Pods more, or fewer when negative. */
  #changes: { readonly at: number; readonly by: number }[] = [];

  constructor(private readonly spec: HpaSpec) {}

  decide(now: number, sight: Sight): number {
    const { minReplicas, maxReplicas } = this.spec;
    const { replicas } = sight;
    const wanted = this.#byMetrics(sight);
    const stable = this.#stabilize(now, replicas, Math.min(maxReplicas, Math.max(minReplicas, wanted)));
    const next = Math.min(maxReplicas, Math.max(minReplicas, this.#limitRate(now, replicas, stable)));
    if (next !== replicas) this.#changes.push({ at: now, by: next - replicas });
    return next;
  }

  /** The largest proposal; with a metric missing, nothing is taken away. */
  #byMetrics(sight: Sight): number {
    const proposals = this.spec.metrics.map((metric) => propose(metric, sight, this.spec.tolerance));
    const known = proposals.filter((proposal) => proposal !== undefined);
    const largest = Math.max(...known);
    if (known.length === 0) return sight.replicas;
    return known.length < proposals.length ? Math.max(largest, sight.replicas) : largest;
  }

  #stabilize(now: number, replicas: number, wanted: number): number {
    const { scaleUp, scaleDown } = this.spec;
    const longest = Math.max(scaleUp.stabilizationWindowSeconds, scaleDown.stabilizationWindowSeconds);
    this.#recommended = this.#recommended.filter(({ at }) => at > now - longest);
    const within = ({ stabilizationWindowSeconds }: Rules) =>
      this.#recommended.filter(({ at }) => at > now - stabilizationWindowSeconds).map((past) => past.replicas);
    const lowest = Math.min(wanted, ...within(scaleUp));
    const highest = Math.max(wanted, ...within(scaleDown));
    this.#recommended.push({ at: now, replicas: wanted });
    return Math.min(Math.max(replicas, lowest), highest);
  }

  #limitRate(now: number, replicas: number, wanted: number): number {
    const { scaleUp, scaleDown } = this.spec;
    const longest = Math.max(...[...scaleUp.policies, ...scaleDown.policies].map(({ periodSeconds }) => periodSeconds));
    this.#changes = this.#changes.filter(({ at }) => at > now - longest);
    if (wanted === replicas) return replicas;
    const direction = wanted > replicas ? 1 : -1;
    const { policies, selectPolicy } = direction > 0 ? scaleUp : scaleDown;
    const limits = policies.map(({ type, value, periodSeconds }) => {
      const recent = this.#changes.filter(({ at }) => at > now - periodSeconds);
      const before = replicas - recent.reduce((sum, { by }) => sum + by, 0);
      const by = direction * value;
      const percent = before * (1 + by / 100);
      const limit = type === 'Pods' ? before + by : direction > 0 ? Math.ceil(percent) : Math.trunc(percent);
      return Math.max(0, direction * (limit - replicas));
    });
    const limit = selectPolicy === 'Max' ? Math.max(...limits) : Math.min(...limits);
    return replicas + direction * Math.min(Math.abs(wanted - replicas), limit);
  }
}

function propose(metric: Metric, { replicas, ready, read }: Sight, tolerance: number): number | undefined {
  const reading = read(metric);
  if (reading === undefined) return undefined;
  const { value } = reading;
  const near = (ratio: number) => Math.abs(1 - ratio) <= tolerance;
  if ('value' in metric) {
    const ratio = value / metric.value;
    return near(ratio) ? replicas : Math.ceil(ratio * ready);
  }
  if (metric.type === 'External') {
    if (near(value / (metric.averageValue * replicas))) return replicas;
    return Math.ceil(value / metric.averageValue);
  }
  const pods = Math.min(reading.pods, ready);
  if (pods === 0) return undefined;
  const ratio = value / reading.pods / metric.averageValue;
  return proposeByMean(ratio, { pods, replicas, ready }, near);
}

/**
 * Pods that are not ready count as idle when more are wanted, and not at all when fewer are. Those that are ready and do not
 * report yet count as idle when more are wanted, and as on target when fewer are.
 */
function proposeByMean(
  ratio: number,
  { pods, replicas, ready }: { pods: number; replicas: number; ready: number },
  near: (ratio: number) => boolean,
): number {
  const missing = ready - pods;
  const unready = ratio > 1 ? replicas - ready : 0;
  if (missing === 0 && unready === 0) return near(ratio) ? replicas : Math.ceil(ratio * ready);
  const counted = pods + missing + unready;
  const again = (ratio * pods + (ratio < 1 ? missing : 0)) / counted;
  if (near(again) || again < 1 !== ratio < 1) return replicas;
  const wanted = Math.ceil(again * counted);
  return again < 1 ? Math.min(replicas, wanted) : Math.max(replicas, wanted);
}
