/** Draws what two policies did on the same day: how much waited, and how many GPUs and workers there were. */
import { ABOUT, ARRIVALS, HOURS } from './arrivals.js';
import type { Comparison, Row } from './compare.js';
import type { Moment } from './world.js';

const [WIDTH, ROW, LEFT, GAP] = [1120, 150, 24, 40];
const PANEL = (WIDTH - 2 * LEFT - 2 * GAP) / 3;
const HEIGHT_OF_PLOT = 84;
const FONT = 'font-family="system-ui, -apple-system, \'Segoe UI\', Helvetica, Arial, sans-serif"';
const INK = '#1f2933';
const COLOURS = ['#b4562b', '#1f6f8b'] as const;

const PANELS = [
  { title: 'not acked yet, jobs', of: ({ backlog }: Moment) => backlog },
  { title: 'workers', of: ({ workers }: Moment) => workers },
  { title: 'GPUs', of: ({ gpus }: Moment) => gpus },
] as const;

/** @param policies two names: the one that is drawn first is the one to compare with */
export function drawing({ rows }: Comparison, policies: readonly [string, string]): string {
  const top = 64;
  const height = top + ARRIVALS.length * ROW + 8;
  const lines = ARRIVALS.flatMap((arrivals, index) => {
    const y = top + index * ROW;
    const both = policies.map((name) => rows.find((row) => row.policy === name && row.arrivals === arrivals));
    return [
      text(LEFT, y + 12, `${arrivals}: ${ABOUT[arrivals]}`, 'font-weight="600"'),
      ...PANELS.flatMap((panel, place) =>
        drawPanel(panel, both, LEFT + place * (PANEL + GAP), y + 30, HOURS[arrivals]),
      ),
    ];
  });
  const legend = policies.flatMap((name, i) => [
    `<rect x="${LEFT + i * 330}" y="22" width="18" height="4" fill="${COLOURS[i] ?? INK}"/>`,
    text(LEFT + 26 + i * 330, 30, name),
  ]);
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" ${FONT} role="img" aria-label="Backlog, workers and GPUs over time under ${policies.join(' and ')}">`,
    `<rect width="${WIDTH}" height="${height}" rx="8" fill="#ffffff"/>`,
    ...legend,
    ...lines,
    '</svg>\n',
  ].join('\n');
}

function drawPanel(
  { title, of }: (typeof PANELS)[number],
  rows: readonly (Row | undefined)[],
  x: number,
  y: number,
  hours: number,
): string[] {
  const most = Math.max(1, ...rows.flatMap((row) => row?.trace.map(of) ?? []));
  const bottom = y + HEIGHT_OF_PLOT;
  const path = (trace: readonly Moment[]) =>
    trace
      .map((moment, i) => {
        const px = x + (moment.at / (hours * 3600)) * PANEL;
        const py = bottom - (of(moment) / most) * HEIGHT_OF_PLOT;
        return `${i === 0 ? 'M' : 'L'}${px.toFixed(1)} ${py.toFixed(1)}`;
      })
      .join('');
  return [
    text(x, y - 4, `${title} (up to ${most})`, 'fill-opacity="0.7"'),
    `<path d="M${x} ${bottom}H${(x + PANEL).toFixed(1)}" stroke="#c5cdd5" fill="none"/>`,
    ...rows.map((row, i) =>
      row ? `<path d="${path(row.trace)}" stroke="${COLOURS[i] ?? INK}" stroke-width="1.4" fill="none"/>` : '',
    ),
    text(x + PANEL - 34, bottom + 14, `${hours} h`, 'fill-opacity="0.7"'),
  ];
}

function text(x: number, y: number, words: string, more = ''): string {
  return `<text x="${x}" y="${y}" font-size="12" fill="${INK}" ${more}>${words}</text>`;
}
