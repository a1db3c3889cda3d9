import { stripVTControlCharacters, styleText } from 'node:util';

/** What several things are doing: on a terminal a line for each, redrawn in place; elsewhere a line for each change. */
export interface Progress {
  task(name: string): Task;
  /** A line for the reader, outside of any task. */
  say(text: string): void;
  /** Draws the last state and gives the terminal back. Nothing may be reported after it. */
  close(): void;
}

/** Ends once, with `done`, `skip` or `fail`; what comes after is ignored. */
export interface Task {
  step(text: string): void;
  /** The last line of its output: shown while it is the last, and not kept. */
  detail(text: string): void;
  done(text: string): void;
  skip(text: string): void;
  fail(text: string): void;
}

export const createProgress = (out: NodeJS.WriteStream = process.stderr): Progress =>
  out.isTTY ? createLines(out) : createLog(out);

const ignore = (): void => undefined;

export const noProgress: Progress = {
  task: () => ({ step: ignore, detail: ignore, done: ignore, skip: ignore, fail: ignore }),
  ...{ say: ignore, close: ignore },
};

/** How often a task's output may show up in a log, where every line stays. */
const DETAIL_EVERY_MS = 5_000;

function createLog(out: NodeJS.WriteStream): Progress {
  const start = Date.now();
  const say = (text: string) => void out.write(`[${seconds(Date.now() - start).padStart(7)}] ${text}\n`);
  return {
    ...{ say, close: ignore },
    task(name) {
      let ended = false;
      let lastAt = Date.now();
      const line = (text: string) => {
        if (ended || text === '') return;
        lastAt = Date.now();
        say(`${name}: ${text}`);
      };
      const end = (prefix: string) => (text: string) => {
        line(`${prefix}${text}`);
        ended = true;
      };
      return {
        step: line,
        detail: (text) => {
          if (Date.now() - lastAt >= DETAIL_EVERY_MS) line(text);
        },
        ...{ done: end(''), skip: end('skipped: '), fail: end('FAILED: ') },
      };
    },
  };
}

interface Row {
  readonly name: string;
  readonly start: number;
  text: string;
  detail: string;
  end?: { mark: string; at: number };
}

const FRAMES = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];
const FRAME_MS = 100;

function createLines(out: NodeJS.WriteStream): Progress {
  const rows: Row[] = [];
  let drawn = 0;

  const erase = () => {
    if (drawn > 0) out.write(`\x1b[${drawn}A\x1b[0J`);
    drawn = 0;
  };
  const draw = () => {
    const width = Math.max(...rows.map(({ name }) => name.length));
    for (const { name, start, text, detail, end } of rows) {
      const now = end?.at ?? Date.now();
      const mark = end?.mark ?? FRAMES[Math.floor(now / FRAME_MS) % FRAMES.length] ?? '';
      const head = `${name.padEnd(width)} ${seconds(now - start).padStart(7)}  ${text}`;
      const room = (out.columns || 80) - 3;
      const tail = detail && room - head.length > 8 ? `  ${detail}`.slice(0, room - head.length) : '';
      out.write(`${mark} ${head.slice(0, room)}${styleText('dim', tail)}\n`);
    }
    drawn = rows.length;
  };
  const redraw = (between = '') => {
    erase();
    out.write(between);
    draw();
  };

  out.write('\x1b[?25l'); // hides the cursor; `close` shows it again
  const timer = setInterval(() => redraw(), FRAME_MS).unref();
  let close = () => {
    clearInterval(timer);
    redraw();
    out.write('\x1b[?25h');
    close = ignore;
  };
  return {
    say: (text) => redraw(`${text}\n`),
    close: () => close(),
    task(name) {
      const row: Row = { name, start: Date.now(), text: '', detail: '' };
      rows.push(row);
      const step = (text: string) => void Object.assign(row, { text, detail: '' });
      const end = (mark: string) => (text: string) => {
        row.end ??= { mark, at: Date.now() };
        step(text);
      };
      return {
        step,
        detail: (text) => {
          if (!row.end) row.detail = stripVTControlCharacters(text).trim();
        },
        ...{
          done: end(styleText('green', '✓')),
          skip: end(styleText('yellow', '–')),
          fail: end(styleText('red', '✗')),
        },
      };
    },
  };
}

const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;
