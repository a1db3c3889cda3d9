/** Tells why many jobs wait, where nothing moves. */
import { jobAttributes, type JobMessage } from '../../domain/job.js';
import { whyItWaits } from './why.js';

/** Time without an outcome before reasons are looked for, in milliseconds. */
const QUIET_MS = 5_000;
/** Shortest time between two looks, in milliseconds. */
const AGAIN_MS = 60_000;
const TICK_MS = 1_000;

export interface Watched {
  /** A job that waits, if there is one. */
  readonly waiting: () => JobMessage | undefined;
  /** Time of the last outcome, in milliseconds since 1970; at first that of the start. */
  readonly quietSince: () => number;
  readonly tell: (reason: string) => void;
}

/** Looks for the reasons after five seconds without an outcome, and once a minute at most. @returns ends it */
export function tellWhatIsStuck({ waiting, quietSince, tell }: Watched, env: NodeJS.ProcessEnv): () => void {
  const ended = new AbortController();
  let lookAt = 0;
  const look = async (message: JobMessage) => {
    const reasons = await whyItWaits(message, jobAttributes(message), env, ended.signal);
    if (!ended.signal.aborted) reasons.forEach(tell);
  };
  const timer = setInterval(() => {
    const now = Date.now();
    const message = now < lookAt || now - quietSince() < QUIET_MS ? undefined : waiting();
    if (!message) return;
    lookAt = now + AGAIN_MS;
    look(message).catch((thrown: unknown) => tell((thrown as Error).message));
  }, TICK_MS).unref();
  return () => {
    clearInterval(timer);
    ended.abort();
  };
}
