/** What a command writes: its result to standard output, and everything else to standard error. */

/** Exit code when the reader of standard output has gone, as in `imagen jobs list | head -1`: what shells report for SIGPIPE. */
export const READER_GONE = 141;

/** Time for a command to tidy up after standard output has failed, in milliseconds. */
const TIDY_MS = 5_000;

/** Control characters of ASCII and of Latin-1, but not the newline. */
// eslint-disable-next-line no-control-regex
const CONTROLS = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/g;

const hex = (letter: string, digits: number) => letter.charCodeAt(0).toString(16).padStart(digits, '0');

/** The text with its control characters as `\x1b`, so that a terminal obeys none of them. Newlines stay. */
export function visible(text: string): string {
  return text.replace(CONTROLS, (letter) => (letter === '\t' ? '\\t' : `\\x${hex(letter, 2)}`));
}

/** The same as one line: for names of files, and for what services say. */
export function oneLine(text: string): string {
  return visible(text).replaceAll('\n', '\\n');
}

let printed = false;

/** Whether this run of the command line has printed anything to standard output. */
export const hasPrinted = (): boolean => printed;

/** Prints a text of our own as it is, also colours and newlines. */
export function printText(text: string): void {
  printed = true;
  console.log(text);
}

/** Prints one line. */
export function print(line: string): void {
  printText(oneLine(line));
}

/** Prints a JSON document. @param indent 0 for a document of one line */
export function printJson(value: unknown, indent: 0 | 2 = 2): void {
  // JSON.stringify leaves these as they are, and some terminals obey them.
  const text = JSON.stringify(value, null, indent).replace(/[\u007f-\u009f]/g, (letter) => `\\u${hex(letter, 4)}`);
  printText(text);
}

export function printBytes(bytes: Uint8Array): void {
  printed = true;
  process.stdout.write(bytes);
}

/** Tells one line on standard error. */
export function say(line: string): void {
  console.error(oneLine(line));
}

let failed = new AbortController();

/** Fires when standard output cannot be written any more. Its reason is the error. */
export const outputFailed = (): AbortSignal => failed.signal;

/**
 * Waits until the readers of both streams have taken what was written. A pipe holds 64 KiB; what does not fit is still in
 * this process, and is lost when it exits.
 * @param failure fires when standard output cannot be written
 */
async function allWritten(failure: AbortSignal): Promise<void> {
  const failed = new Promise<void>((resolve) => failure.addEventListener('abort', () => resolve(), { once: true }));
  const written = [process.stdout, process.stderr]
    .filter(({ writableLength }) => writableLength > 0)
    .map((stream) => new Promise<void>((resolve) => stream.write('', () => resolve())));
  if (!failure.aborted) await Promise.race([failed, Promise.all(written)]);
  await new Promise((resolve) => setImmediate(resolve)); // the error of the last line comes after the line
}

/**
 * Runs a command, and watches standard output for errors. When it fails, a command that watches `outputFailed` ends by
 * itself; any other is left after five seconds. Ends when the readers have taken everything.
 * @returns the command's exit code; 141 if the reader has gone; 1 for another failure, which is told
 */
export async function withOutput(command: () => Promise<number>): Promise<number> {
  const own = new AbortController();
  failed = own;
  printed = false;
  const onError = (error: Error) => own.abort(error);
  const ignore = () => undefined; // nobody is left who could be told
  process.stdout.on('error', onError);
  process.stderr.on('error', ignore);
  let timer: NodeJS.Timeout | undefined;
  const left = new Promise<undefined>((resolve) => {
    own.signal.addEventListener('abort', () => (timer = setTimeout(() => resolve(undefined), TIDY_MS)), { once: true });
  });
  try {
    const code = await Promise.race([command(), left]);
    await allWritten(own.signal);
    if (!own.signal.aborted) return code ?? 0;
    const error = own.signal.reason as NodeJS.ErrnoException;
    if (error.code === 'EPIPE') return READER_GONE;
    say(`imagen: standard output cannot be written: ${error.message}`);
    return 1;
  } finally {
    clearTimeout(timer);
    process.stdout.off('error', onError);
    process.stderr.off('error', ignore);
  }
}
