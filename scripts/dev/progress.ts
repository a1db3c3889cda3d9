import { setTimeout as sleep } from 'node:timers/promises';
import { stripVTControlCharacters, styleText } from 'node:util';

/**
 * What several things that go on at once are doing. On a terminal each has one line, redrawn in place; elsewhere every
 * change is a line of its own, with the seconds since the start.
 */
export interface Progress {
  task(name: string): Task;
  /** A line for the reader, outside of any task. */
  say(text: string): void;
  /** Draws the last state and gives the terminal back. Nothing may be reported after it. */
  close(): void;
}

/** Ends once, with `done`, `skip` or `fail`; what comes after is ignored. */
export interface Task {
  /** What is done now, in a few words. */
  step(text: string): void;
  /** The last line of its output: shown while it is the last, and not kept. */
  detail(text: string): void;
  done(text: string): void;
  skip(text: string): void;
  fail(text: string): void;
}

export function createProgress(out: NodeJS.WriteStream = process.stderr): Progress {
  return out.isTTY ? new Lines(out) : new Log(out);
}

export const noProgress: Progress = {
  task: () => ({ step: ignore, detail: ignore, done: ignore, skip: ignore, fail: ignore }),
  say: ignore,
  close: ignore,
};

function ignore(): void {
  // Nobody is looking.
}

type Outcome = 'done' | 'skip' | 'fail';

/** How often a task's output may show up in a log, where every line stays. */
const detailEveryMs = 5_000;

class Log implements Progress {
  readonly #start = Date.now();

  constructor(private readonly out: NodeJS.WriteStream) {}

  task(name: string): Task {
    let ended = false;
    let lastAt = Date.now();
    const line = (text: string) => {
      if (ended || text === '') return;
      lastAt = Date.now();
      this.say(`${name}: ${text}`);
    };
    const end = (text: string) => {
      line(text);
      ended = true;
    };
    return {
      step: line,
      detail: (text) => {
        if (Date.now() - lastAt >= detailEveryMs) line(text);
      },
      done: end,
      skip: (text) => end(`skipped: ${text}`),
      fail: (text) => end(`FAILED: ${text}`),
    };
  }

  say(text: string): void {
    this.out.write(`[${seconds(Date.now() - this.#start).padStart(7)}] ${text}\n`);
  }

  close(): void {
    // Every line is already out.
  }
}

interface Row {
  readonly name: string;
  readonly start: number;
  text: string;
  detail: string;
  end?: { outcome: Outcome; at: number };
}

const frames = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];
const marks = {
  done: styleText('green', '✓'),
  skip: styleText('yellow', '–'),
  fail: styleText('red', '✗'),
} as const;

class Lines implements Progress {
  readonly #rows: Row[] = [];
  #drawn = 0;
  #closed = false;

  constructor(private readonly out: NodeJS.WriteStream) {
    out.write('\x1b[?25l'); // hides the cursor; `close` shows it again
    void this.#animate();
  }

  task(name: string): Task {
    const row: Row = { name, start: Date.now(), text: '', detail: '' };
    this.#rows.push(row);
    const end = (outcome: Outcome) => (text: string) => {
      row.end ??= { outcome, at: Date.now() };
      row.text = text;
      row.detail = '';
    };
    return {
      step: (text) => {
        row.text = text;
        row.detail = '';
      },
      detail: (text) => {
        if (!row.end) row.detail = stripVTControlCharacters(text).trim();
      },
      done: end('done'),
      skip: end('skip'),
      fail: end('fail'),
    };
  }

  say(text: string): void {
    this.#erase();
    this.out.write(`${text}\n`);
    this.#draw();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#erase();
    this.#draw();
    this.out.write('\x1b[?25h');
  }

  async #animate(): Promise<void> {
    while (!this.#closed) {
      this.#erase();
      this.#draw();
      await sleep(100, undefined, { ref: false });
    }
  }

  #erase(): void {
    if (this.#drawn > 0) this.out.write(`\x1b[${this.#drawn}A\x1b[0J`);
    this.#drawn = 0;
  }

  #draw(): void {
    const width = Math.max(...this.#rows.map(({ name }) => name.length));
    for (const row of this.#rows) {
      const now = row.end?.at ?? Date.now();
      const mark = row.end ? marks[row.end.outcome] : (frames[Math.floor(now / 100) % frames.length] ?? '');
      const head = `${row.name.padEnd(width)} ${seconds(now - row.start).padStart(7)}  ${row.text}`;
      const room = (this.out.columns || 80) - 3;
      const tail = row.detail && room - head.length > 8 ? `  ${row.detail}`.slice(0, room - head.length) : '';
      this.out.write(`${mark} ${head.slice(0, room)}${styleText('dim', tail)}\n`);
    }
    this.#drawn = this.#rows.length;
  }
}

const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;
