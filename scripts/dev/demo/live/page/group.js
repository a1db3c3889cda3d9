import { addressOf } from './card.js';
import { element, plural, write } from './dom.js';
import { cancelJob, isOver } from './job.js';
import { onClick } from './post.js';
import { showProblem } from './problem.js';

/** Jobs of one group: a small picture of each. `update` and `remove` take its jobs one by one. */
export function createGroup({ id, total }) {
  const jobs = new Map();
  const tiles = new Map();
  const status = element('span', { class: 'status' });
  const cancel = element('button', { type: 'button', class: 'quiet' }, 'Cancel the rest');
  const wall = element('div', { class: 'wall' });
  const counts = element('p', { class: 'sizes' });
  const problem = element('p', { class: 'problem', hidden: '' });
  const node = element(
    'article',
    { class: 'group', 'data-group': id, 'aria-label': `group ${id}` },
    element('div', { class: 'top' }, element('h3', {}, id), status, cancel),
    wall,
    counts,
    problem,
  );
  const rest = () => [...jobs.values()].filter((job) => !isOver(job) && job.status !== 'canceling');
  let complaint;

  onClick(cancel, async () => {
    complaint = undefined;
    // One after another: each writes a record, and the browser opens few connections.
    for (const { key } of rest()) {
      complaint = (await cancelJob(key)) ?? complaint;
    }
    show();
  });

  function show() {
    const all = [...jobs.values()];
    const of = (...names) => all.filter((job) => names.includes(job.status)).length;
    const ended = all.filter(isOver).length;
    const lost = of('failed', 'expired');
    node.dataset.status = ended < all.length ? 'running' : lost > 0 ? 'failed' : 'succeeded';
    write(status, `${ended} of ${total ?? all.length}`);
    const parts = [plural(of('succeeded'), 'result'), lost > 0 && `${lost} failed`];
    const canceled = of('canceled', 'canceling');
    write(counts, [...parts, canceled > 0 && `${canceled} canceled`].filter(Boolean).join(', '));
    cancel.hidden = rest().length === 0;
    showProblem(problem, complaint ?? all.find((job) => job.error)?.error);
  }

  return {
    node,
    get size() {
      return jobs.size;
    },
    keys: () => [...jobs.keys()],
    update(job) {
      const before = tiles.get(job.key);
      if (before && jobs.get(job.key)?.status === job.status) return;
      jobs.set(job.key, job);
      const tile = tileOf(job);
      tiles.set(job.key, tile);
      if (before) before.replaceWith(tile);
      else wall.append(tile);
      show();
    },
    remove(key) {
      tiles.get(key)?.remove();
      tiles.delete(key);
      jobs.delete(key);
      show();
    },
  };
}

function tileOf({ key, jobId, status, pictures, error }) {
  const name = jobId ?? key;
  if (pictures.after === undefined) {
    const text = `${name}: ${status}${error ? ` ${error.code}` : ''}`;
    return element('span', { class: 'tile', 'data-status': status, role: 'img', title: text, 'aria-label': text });
  }
  const href = addressOf(key, 'after', pictures.after);
  return element(
    'a',
    { class: 'tile', 'data-status': status, href, target: '_blank', rel: 'noopener', title: name },
    element('img', { src: href, alt: name, loading: 'lazy' }),
  );
}
