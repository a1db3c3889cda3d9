/** Feeds files to a process that may die of them. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import type { Answer, Question } from './child.js';

export type Verdict =
  | Answer
  | { readonly outcome: 'DEATH' | 'HANG'; readonly message: string; readonly ms: number; readonly megabytes: number };

export class Patient {
  #child: ChildProcess | undefined;

  /** @param limitMs after which a file counts as a hang, and the process is killed */
  constructor(private readonly limitMs: number) {}

  /** One file at a time, so that a death is blamed on the right one. */
  async feed(question: Question): Promise<Verdict> {
    const child = (this.#child ??= await start());
    const startedAt = performance.now();
    const gone = (outcome: 'DEATH' | 'HANG', message: string) => {
      this.#child = undefined;
      return { outcome, message, ms: performance.now() - startedAt, megabytes: NaN };
    };
    return new Promise<Verdict>((resolve) => {
      const settle = (verdict: Verdict) => {
        clearTimeout(timer);
        child.off('message', answered).off('exit', died);
        resolve(verdict);
      };
      const timer = setTimeout(() => {
        settle(gone('HANG', `no answer for ${this.limitMs} ms`));
        child.kill('SIGKILL');
      }, this.limitMs);
      const answered = (answer: unknown) => settle(answer as Answer);
      const died = (code: number | null, signal: string | null) => settle(gone('DEATH', `${code ?? signal}`));
      child.once('message', answered).once('exit', died);
      child.send(question);
    });
  }

  async close(): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (child?.exitCode !== null) return;
    child.kill('SIGKILL');
    await once(child, 'exit');
  }
}

async function start(): Promise<ChildProcess> {
  const child = fork(new URL('child.ts', import.meta.url), {
    execArgv: ['--import', 'tsx'],
    serialization: 'advanced',
  });
  await once(child, 'message');
  return child;
}
