export interface Tracing {
  /** Sends the remaining spans. Resolves within `limitMs`, even if sending fails. */
  stop(limitMs: number): Promise<void>;
}

export type TracingProblem = 'spans are lost' | 'a problem with tracing';
/** Called from time to time, outside any trace, with the problem and its reason in one line. */
export type OnTracingProblem = (what: TracingProblem, reason: string) => void;
