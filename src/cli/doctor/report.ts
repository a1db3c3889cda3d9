/** The findings as text, or as one JSON document. */
import type { Result } from './check.js';
import type { Finding } from './examine.js';
import { oneLine } from '../output.js';

/** In the order in which they are shown: what is to be done comes last. */
const VERDICTS = ['ok', 'skipped', 'warning', 'fault'] as const satisfies readonly Result['verdict'][];

/** Colours of a terminal. */
const COLOURS: Readonly<Record<Result['verdict'], number>> = { ok: 32, skipped: 90, warning: 33, fault: 31 };

/** Whether to write colours: https://no-color.org. */
export function hasColours({ NO_COLOR }: NodeJS.ProcessEnv, isTerminal: boolean): boolean {
  return isTerminal && (NO_COLOR === undefined || NO_COLOR === '');
}

/** @returns the worst verdict */
export function verdictOf(findings: readonly Finding[]): Result['verdict'] {
  return VERDICTS.findLast((verdict) => findings.some((finding) => finding.verdict === verdict)) ?? 'ok';
}

export function reportJson(findings: readonly Finding[]): string {
  const checks = findings.map(({ name, verdict, message, ...rest }) => ({ name, verdict, message, ...rest }));
  return JSON.stringify({ faulty: verdictOf(findings) === 'fault', checks }, null, 2);
}

/** One line for each finding, and below a warning or a fault what to do; then the counts. */
export function reportText(findings: readonly Finding[], colours: boolean): string {
  const nameWidth = Math.max(...findings.map(({ name }) => name.length));
  const lines = VERDICTS.flatMap((verdict) => findings.filter((finding) => finding.verdict === verdict)).flatMap(
    (finding) => {
      const { name, verdict } = finding;
      const message = oneLine(finding.message);
      const word = verdict.padEnd(VERDICT_WIDTH);
      const shown = colours ? `\u001b[${COLOURS[verdict]}m${word}\u001b[0m` : word;
      const margin = ' '.repeat(VERDICT_WIDTH + 2 + nameWidth + 2);
      const line = `${shown}  ${name.padEnd(nameWidth)}  ${message}`;
      return 'cure' in finding ? [line, `${margin}→ ${oneLine(finding.cure)}`] : [line];
    },
  );
  return [...lines, countsOf(findings)].join('\n');
}

const VERDICT_WIDTH = Math.max(...VERDICTS.map((verdict) => verdict.length));

function countsOf(findings: readonly Finding[]): string {
  return [...VERDICTS]
    .reverse()
    .map((verdict) => `${verdict}: ${findings.filter((finding) => finding.verdict === verdict).length}`)
    .join(', ');
}
