/** What a check is, and what it can say. */
import { type Config, type SettingKey, SETTINGS } from '../../config/index.js';
import type { Deployment } from './deployment.js';

/**
 * The answer about one thing. `warning`: jobs are done, but somebody should look. `skipped`: it cannot be known, for the
 * reason that the message gives, or it is not needed.
 */
export type Result =
  | { readonly verdict: 'ok' | 'skipped'; readonly message: string }
  | {
      readonly verdict: 'warning' | 'fault';
      /** What is wrong. */
      readonly message: string;
      /** What to do: a command or a setting. */
      readonly cure: string;
    };

export interface Check {
  /** Short, with its group in front, such as `pubsub.topic`. */
  readonly name: string;
  /** Checks of the list before this one. Unless all of them pass, this one is skipped. */
  readonly needs: readonly string[];
  /**
   * Looks, and changes nothing.
   * @returns one result for each thing that it looked at
   * @throws any error, which is shown as a fault
   */
  readonly run: (deployment: Deployment, signal: AbortSignal) => Promise<readonly Result[]>;
}

interface Definition<K extends SettingKey> {
  readonly name: string;
  /** Settings that the check needs. If one of them is wrong, the check is skipped. */
  readonly reads: readonly K[];
  readonly needs?: readonly string[];
  readonly run: (
    config: Pick<Config, K>,
    deployment: Deployment,
    signal: AbortSignal,
  ) => Promise<readonly Result[]> | readonly Result[];
}

export function check<const K extends SettingKey>({ name, reads, needs = [], run }: Definition<K>): Check {
  return {
    ...{ name, needs },
    async run(deployment, signal) {
      const wrong = reads.filter((key) => deployment.settings([key]).problems.length > 0);
      if (wrong.length > 0) {
        return [skipped(`config.variables found a fault in ${wrong.map((key) => SETTINGS[key].name).join(', ')}`)];
      }
      return run(deployment.settings(reads).values as Pick<Config, K>, deployment, signal);
    },
  };
}

export const ok = (message: string): Result => ({ verdict: 'ok', message });
export const skipped = (message: string): Result => ({ verdict: 'skipped', message });
export const warning = (message: string, cure: string): Result => ({ verdict: 'warning', message, cure });
export const fault = (message: string, cure: string): Result => ({ verdict: 'fault', message, cure });
