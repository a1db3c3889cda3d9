import { element, plural, write } from './dom.js';
import { cancelJob, isOver } from './job.js';
import { onClick } from './post.js';
import { showProblem } from './problem.js';
import { slide } from './slider.js';

/** `total` is the worker's time, which begins when it has the message. */
const TIMES = ['queued', 'fetch', 'memory', 'decode', 'inference', 'encode', 'store'];
const CLASS_OF = { infer: 'inference' };

/** A job: `node` is its place on the page, and `update` shows how far it has come. */
export function createCard({ key, jobId }, strip) {
  const name = jobId ?? 'a message without an id';
  const mat = element('div', { class: 'mat' });
  const status = element('span', { class: 'status' });
  const cancel = element('button', { type: 'button', class: 'quiet', 'aria-label': `cancel ${name}` }, 'Cancel');
  const stages = strip.map((stage) => {
    const fill = element('i', { class: CLASS_OF[stage] ?? stage });
    return { fill, item: element('li', {}, element('span', { class: 'track' }, fill), stage) };
  });
  const steps = element('ol', { class: 'steps' });
  const sizes = element('p', { class: 'sizes' });
  const problem = element('p', { class: 'problem', hidden: '' });
  const warnings = element('p', { class: 'hint', hidden: '' });
  const times = element('div', { class: 'times' });
  const node = element(
    'article',
    { 'data-job': name, 'aria-label': name, tabindex: '-1' },
    mat,
    element('div', { class: 'top' }, element('h3', {}, name), status, cancel),
    element('ol', { class: 'strip', 'aria-label': 'stages' }, ...stages.map(({ item }) => item)),
    ...[steps, problem, warnings, sizes, times],
  );

  let since;

  onClick(cancel, async () => {
    const error = await cancelJob(key);
    if (error) showProblem(problem, error);
  });

  return {
    node,
    /** @param now in milliseconds since 1970, of the server's clock */
    tick(now) {
      if (since === undefined) return;
      write(status, `${node.dataset.status} ${Math.max(0, Math.floor((now - since) / 1000))} s`);
    },
    update(job) {
      const over = isOver(job);
      node.dataset.status = job.status;
      since = over ? undefined : job.arrivedAt;
      if (over || !status.textContent.startsWith(job.status)) write(status, job.status);
      showStages(stages, job, over);
      showPicture(mat, job, name, over);
      steps.replaceChildren(...job.operations.map((operation) => stepOf(operation, over)));
      sizes.replaceChildren(...sizesOf(key, job));
      sizes.hidden = sizes.childNodes.length === 0;
      if (over || job.status === 'canceling') showProblem(problem, job.error);
      // A message without an id cannot be canceled, nor one whose id stands for another job.
      cancel.hidden = over || job.status === 'canceling' || key !== jobId;
      write(warnings, job.warnings.join(' · '));
      warnings.hidden = job.warnings.length === 0;
      if (job.timingsMs && times.childElementCount === 0) times.append(...timesOf(job.timingsMs));
    },
  };
}

function showStages(stages, { stages: shares, error }, over) {
  const current = over ? -1 : shares.findIndex((share) => share < 1);
  stages.forEach(({ fill, item }, index) => {
    fill.style.width = `${shares[index] * 100}%`;
    item.classList.toggle('done', shares[index] === 1);
    item.classList.toggle('current', index === current);
    item.classList.toggle('broken', over && error?.stage === item.lastChild.data);
  });
}

function showPicture(mat, job, name, over) {
  const { key, pictures } = job;
  const kind = pictures.after !== undefined && pictures.before !== undefined ? 'both' : over ? 'failed' : 'waiting';
  mat.classList.toggle('waiting', kind === 'waiting');
  if (mat.dataset.kind === kind && (mat.querySelector('img') || pictures.before === undefined)) return;
  mat.dataset.kind = kind;
  if (kind === 'both') {
    const [before, after] = ['before', 'after'].map((side) => imageOf(key, side, pictures[side], `${name}: ${side}`));
    const frame = frameOf(name, before, after);
    const { width, height } = job.output;
    frame.style.aspectRatio = `${width} / ${height}`;
    frame.classList.toggle('wide', width / height > 3 / 2);
    mat.replaceChildren(frame);
    slide(frame);
    // A TIFF, for example: browsers show none.
    before.addEventListener('error', () => mat.replaceChildren(after));
    return;
  }
  const side = pictures.after === undefined ? 'before' : 'after';
  const shown = pictures[side] === undefined ? [] : [imageOf(key, side, pictures[side], `${name}: ${side}`)];
  const words = kind === 'failed' && side === 'before' ? [element('p', {}, job.status)] : [];
  mat.replaceChildren(...shown, ...words);
}

function frameOf(name, before, after) {
  const label = `${name}: where before ends and after begins`;
  return element(
    'div',
    { class: 'frame' },
    before,
    element('div', { class: 'after' }, after),
    element('span', { class: 'label' }, 'before'),
    element('span', { class: 'label right' }, 'after'),
    element('input', { type: 'range', min: '0', max: '100', step: '1', value: '50', 'aria-label': label }),
    element('span', { class: 'line', 'aria-hidden': 'true' }),
  );
}

function imageOf(key, side, version, alt) {
  const image = element('img', { src: addressOf(key, side, version), alt, draggable: 'false' });
  image.addEventListener('error', () => image.remove()); // it has gone, or is none
  return image;
}

export const addressOf = (key, side, version) =>
  `/pictures/${encodeURIComponent(key)}/${side}?version=${encodeURIComponent(version)}`;

function stepOf({ model, version, plan, requests }, over) {
  const asked = version === undefined ? '' : `version ${version}`;
  const rest =
    plan === undefined ? `${asked}${over ? ' not run' : ''}` : `${asked}, plan ${plan}, ${plural(requests, 'request')}`;
  return element('li', {}, element('code', {}, model), ` ${rest.trim()}`);
}

function sizesOf(key, { input, output, pictures }) {
  const part = (side, size) => {
    const text = sizeOf(size);
    if (text === undefined || pictures[side] === undefined) return text;
    return element('a', { href: addressOf(key, side, pictures[side]), target: '_blank', rel: 'noopener' }, text);
  };
  const [before, after] = [part('before', input), part('after', output)];
  if (after === undefined) return before === undefined ? [] : [before];
  return [before ?? '', element('span', { 'aria-label': 'to' }, ' → '), after];
}

function sizeOf(size) {
  if (size?.width === undefined) return undefined;
  const type = size.contentType === undefined ? '' : ` ${size.contentType.replace('image/', '').toUpperCase()}`;
  const kilobytes = size.bytes === undefined ? '' : `, ${Math.max(1, Math.round(size.bytes / 1000))} kB`;
  return `${size.width} × ${size.height}${type}${kilobytes}`;
}

function timesOf(times) {
  const known = TIMES.filter((name) => times[name] !== undefined);
  const parts = known.map((name) => element('i', { class: name }));
  parts.forEach((part, index) => (part.style.flexGrow = String(Math.max(times[known[index]], 0.01))));
  const entry = (name) =>
    element('li', {}, element('i', { class: name }), `${name} `, bold(String(Math.round(times[name]))));
  const all = Math.round((times.queued ?? 0) + times.total);
  const total = element('li', { class: 'total' }, 'in all ', bold(`${all} ms`));
  return [
    element('div', { class: 'bar', 'aria-hidden': 'true' }, ...parts),
    element('ul', { class: 'legend' }, ...known.map(entry), total),
  ];
}

const bold = (text) => element('b', {}, text);
