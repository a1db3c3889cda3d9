/**
 * @param again what a second signal does; nothing by default, for everything is being stopped already
 * @returns what fires at the first signal that asks this process to end; whoever listens stops what was started
 */
export function giveUpOnSignals(again: () => void = () => undefined): AbortSignal {
  const giveUp = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => {
      if (giveUp.signal.aborted) {
        again();
        return;
      }
      console.error(`\n${signal}: stopping what was started`);
      process.exitCode = 130;
      giveUp.abort(new Error('given up'));
    });
  }
  return giveUp.signal;
}
