/** What several things that go on at once are doing: a line for every change, with the seconds since the start. */
export interface Progress {
  task(name: string): Task;
  /** A line for the reader, outside of any task. */
  say(text: string): void;
}

/** Ends once, with `done`, `skip` or `fail`; what comes after is ignored. */
export interface Task {
  step(text: string): void;
  /** The last line of its output: told only when nothing else was for some seconds. */
  detail(text: string): void;
  done(text: string): void;
  skip(text: string): void;
  fail(text: string): void;
}

const DETAIL_EVERY_MS = 5_000;

export const noProgress: Progress = createProgress(() => undefined);

export function createProgress(write = (line: string): unknown => process.stderr.write(line)): Progress {
  const start = performance.now();
  const say = (text: string) =>
    void write(`[${((performance.now() - start) / 1000).toFixed(1).padStart(5)} s] ${text}\n`);
  return {
    say,
    task(name) {
      let ended = false;
      let lastAt = performance.now();
      const line = (text: string) => {
        if (ended || text === '') return;
        lastAt = performance.now();
        say(`${name}: ${text}`);
      };
      const end = (prefix: string) => (text: string) => {
        line(`${prefix}${text}`);
        ended = true;
      };
      const detail = (text: string) => {
        if (performance.now() - lastAt >= DETAIL_EVERY_MS) line(text);
      };
      return { step: line, detail, done: end(''), skip: end('skipped: '), fail: end('FAILED: ') };
    },
  };
}
