/** @returns what fires at the first signal that asks this process to end. @param again what another signal does */
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
