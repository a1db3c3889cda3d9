/** The page: one card a job, with a before/after slider. No request leaves it but for the pictures beside it. */
import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Completion } from '../../../src/domain/completion.js';
import { localDir } from '../stack/paths.js';
import type { Sized } from './live/board.js';
import type { Burst } from './burst.js';
import type { Outcome, Run } from './run.js';

export const demoDir = join(localDir, 'demo');

export async function writeReport(run: Run, burst: Burst): Promise<string> {
  const page = join(demoDir, 'index.html');
  await writeFile(join(demoDir, 'summary.json'), `${JSON.stringify(run.outcomes.map(summary), null, 2)}\n`);
  await writeFile(page, renderPage(run, burst, new Date()));
  return page;
}

function summary({ job, jobId, completion, problem, before, after }: Outcome) {
  return {
    jobId,
    operations: job.operations,
    status: problem ? (completion && completion.status !== 'succeeded' ? completion.status : 'failed') : 'succeeded',
    ...(problem ? { error: { code: problem.code, message: problem.message } } : {}),
    input: completion?.input ?? null,
    output: completion?.output ?? null,
    steps: completion?.steps ?? [],
    warnings: completion?.warnings ?? [],
    timingsMs: completion?.timingsMs ?? {},
    pictures: { before, ...(after ? { after } : {}) },
  };
}

const stages = ['queued', 'fetch', 'memory', 'decode', 'inference', 'encode', 'store'] as const;

export function renderPage({ outcomes, wallMs }: Run, burst: Burst, now: Date): string {
  const succeeded = outcomes.filter(({ problem }) => !problem).length;
  const requests = outcomes.flatMap(({ completion }) => completion?.steps ?? []);
  const facts: [string, string][] = [
    ['jobs succeeded', `${succeeded} of ${outcomes.length}`],
    ['requests to Triton', String(requests.reduce((sum, step) => sum + step.requests, 0))],
    ['in all', `${(wallMs / 1000).toFixed(1)} s`],
  ];
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>imagen demo</title>
<style>
${beside('page.css')}</style>
</head>
<body>
<header>
<div>
<h1>imagen</h1>
<p>Each of these jobs went from Cloud Storage through a Pub/Sub queue and a worker to NVIDIA Triton and back, all at once, on one machine.</p>
</div>
<dl class="facts">
${facts.map(([name, value]) => `<div><dt>${escape(name)}</dt><dd>${escape(value)}</dd></div>`).join('\n')}
</dl>
</header>
<main>
${outcomes.map(card).join('\n')}
</main>
${burstSection(burst)}
<footer>
<p>Pull the line across a picture, or focus it and use the arrow keys. Times are the worker's own, in milliseconds; the jobs shared the machine's processors. ${escape(now.toISOString().slice(0, 16).replace('T', ' '))} UTC · <a href="summary.json">summary.json</a></p>
</footer>
<script type="module">
${beside('slider.js')}
for (const frame of document.querySelectorAll('.frame:not(.failed)')) slide(frame);
</script>
</body>
</html>
`;
}

function card({ job, completion, problem, before, after }: Outcome): string {
  return `<article>
${after ? slider(job, before, after) : `<div class="frame failed"><p>${escape(problem?.code ?? 'no result')}</p></div>`}
<h2>${escape(job.title)}</h2>
<p class="text">${escape(job.text)}</p>
${problem ? `<p class="problem">${escape(problem.code)}: ${escape(problem.message)}</p>` : ''}
<ol class="steps">
${steps(job, completion)}
</ol>
<p class="sizes">${link(before, sizeOf(completion?.input))} <span aria-label="to">→</span> ${link(after, sizeOf(completion?.output))}</p>
${completion?.timingsMs ? timings(completion.timingsMs) : ''}
</article>`;
}

function slider(job: Outcome['job'], before: string, after: string): string {
  const { zoom, x, y } = job.detail ?? { zoom: 1, x: 0.5, y: 0.5 };
  const place = `--zoom:${zoom};--x:${percent(x)};--y:${percent(y)}`;
  return `<div class="frame" style="${place}">
<img src="${escape(before)}" alt="${escape(job.title)}: before" draggable="false">
<div class="after"><img src="${escape(after)}" alt="${escape(job.title)}: after" draggable="false"></div>
<span class="label">before</span><span class="label right">after</span>
<input type="range" min="0" max="100" step="1" value="${job.line ?? 50}" aria-label="${escape(job.title)}: where before ends and after begins">
<span class="line" aria-hidden="true"></span>
</div>`;
}

function steps({ operations }: Outcome['job'], completion: Completion | undefined): string {
  const done = (completion?.steps ?? []).map(({ model, servedVersion, plan, requests }) => {
    const count = `${requests} request${requests === 1 ? '' : 's'}`;
    return [model, `version ${servedVersion}, plan ${plan}, ${count}`];
  });
  const lines = done.length > 0 ? done : operations.map((name) => [name, 'not run']);
  return lines.map(([name = '', rest = '']) => `<li><code>${escape(name)}</code> ${escape(rest)}</li>`).join('\n');
}

function timings(times: NonNullable<Completion['timingsMs']>): string {
  const known = stages.map((stage) => ({ stage, ms: times[stage] ?? NaN })).filter(({ ms }) => !Number.isNaN(ms));
  const parts = known.map(({ stage, ms }) => `<i class="${stage}" style="flex-grow:${Math.max(ms, 0.01)}"></i>`);
  const legend = known.map(({ stage, ms }) => `<li><i class="${stage}"></i>${stage} <b>${Math.round(ms)}</b></li>`);
  return `<div class="bar" aria-hidden="true">${parts.join('')}</div>
<ul class="legend">${legend.join('')}<li class="total">total <b>${Math.round(times.total)} ms</b></li></ul>`;
}

/** So that all of them fit on a screen. */
const WALL_SCALE = 0.6;

function burstSection({ model, pictures, runs, meanBatch, wallMs }: Burst): string {
  const most = Math.max(...runs.map(({ runs }) => runs));
  const count = runs.reduce((sum, { runs }) => sum + runs, 0);
  const columns = runs.map(
    ({ size, runs }) => `<li><span>${runs}</span><i style="height:${percent(runs / most)}"></i><b>${size}</b></li>`,
  );
  const wall = pictures.map(({ width, height, after }) => {
    const [shownWidth, shownHeight] = [width, height].map((side) => Math.round(side * WALL_SCALE));
    return after
      ? `<img src="${escape(after)}" width="${shownWidth}" height="${shownHeight}" alt="${width} × ${height}" loading="lazy">`
      : `<span class="missing" style="width:${shownWidth}px;height:${shownHeight}px">failed</span>`;
  });
  return `<section class="burst" aria-labelledby="burst">
<div>
<h2 id="burst">${pictures.length} pictures of ${pictures.length} sizes</h2>
<p class="text">Triton batches requests of equal shape only. A client that sends each of these as it is gets ${pictures.length} runs of one. The worker
pads pictures that wait together to one shape and cuts the results out again.</p>
<dl class="facts">
<div><dt>pictures a run</dt><dd>${meanBatch.toFixed(1)}</dd></div>
<div><dt>runs of <code>${escape(model)}</code></dt><dd>${count}</dd></div>
<div><dt>in all</dt><dd>${(wallMs / 1000).toFixed(1)} s</dd></div>
</dl>
<ol class="columns" role="img" aria-label="${runs.map(({ size, runs }) => `${runs} runs of ${size}`).join(', ')}">${columns.join('')}</ol>
<p class="axis">runs, by the number of pictures in a batch</p>
</div>
<div class="wall">${wall.join('')}</div>
</section>`;
}

function sizeOf(image: Sized | undefined): string {
  if (image?.width === undefined || image.height === undefined) return 'size unknown';
  const kilobytes = image.bytes === undefined ? '' : `, ${Math.round(image.bytes / 1000)} kB`;
  const type = image.contentType?.replace('image/', '').toUpperCase() ?? 'JPEG';
  return `${image.width} × ${image.height} ${type}${kilobytes}`;
}

const link = (file: string | undefined, text: string): string =>
  file ? `<a href="${escape(file)}">${escape(text)}</a>` : escape(text);

const percent = (share: number): string => `${Math.round(share * 1000) / 10}%`;

const escape = (text: string): string => text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);

const beside = (name: string): string => readFileSync(new URL(name, import.meta.url), 'utf8');
