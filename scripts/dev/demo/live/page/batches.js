import { byId, element, plural, write } from './dom.js';

/** Of each model that has run: how large its batches were, as bars, and how much of that was just now. */
export function showBatches({ answers, batches }, recentMs) {
  write(byId('batches-text'), textOf(answers, batches));
  write(byId('batches-recent'), `the last ${recentMs / 1000} seconds`);
  byId('batches-legend').hidden = batches.length === 0;
  byId('batches').replaceChildren(...batches.map(panelOf));
}

function textOf(answers, batches) {
  if (!answers) return 'Triton does not answer.';
  if (batches.length === 0) return 'Triton has run nothing since this page began.';
  return 'Runs of each model, by the number of requests in a batch.';
}

function panelOf({ model, mean, sizes, inFlight }) {
  const most = Math.max(...sizes.map(({ runs }) => runs));
  const words = sizes.map(({ size, runs }) => `${plural(runs, 'run')} of ${size}`).join(', ');
  const bars = sizes.map(({ size, runs, recent }) => {
    const bar = element('span', { class: 'column' }, element('i', { class: 'recent' }));
    bar.style.height = `${(runs / most) * 100}%`;
    bar.firstChild.style.height = `${(recent / runs) * 100}%`;
    const place = element('span', { class: 'place' }, element('span', { class: 'count' }, String(runs)), bar);
    return element('li', {}, place, element('b', {}, String(size)));
  });
  const flying = inFlight > 0 ? element('span', { class: 'flying' }, `${inFlight} in flight`) : '';
  return element(
    'li',
    { 'data-model': model },
    element('p', { class: 'model' }, element('code', {}, model)),
    element('p', { class: 'mean' }, element('b', {}, mean?.toFixed(1) ?? '–'), ' a batch ', flying),
    element('ol', { class: 'columns', role: 'img', 'aria-label': `${model}: ${words || 'no runs yet'}` }, ...bars),
  );
}
