/* global EventSource, setInterval, setTimeout */
import { showBatches } from './batches.js';
import { createCard } from './card.js';
import { createComposer } from './composer.js';
import { byId, element, write } from './dom.js';

const SECOND_MS = 1000;

const cards = new Map();
const composer = createComposer();
let fixed = {};
/** How far the server's clock is before this one, in milliseconds. */
let ahead = 0;

function show({ now, facts, triton, jobs, gone }) {
  ahead = now - Date.now();
  for (const key of gone) {
    cards.get(key)?.node.remove();
    cards.delete(key);
  }
  for (const job of jobs) {
    let card = cards.get(job.key);
    if (!card) {
      card = createCard(job, fixed.strip);
      cards.set(job.key, card);
      byId('cards').prepend(card.node);
    }
    card.update(job);
    composer.follow(job);
  }
  byId('empty').hidden = cards.size > 0;
  composer.offer(triton.models, triton.answers);
  showBatches(triton, fixed.recentMs);
  showFacts(facts, triton.batches);
}

function showFacts({ underWay, succeeded, failed, perMinute }, batches) {
  const sum = (count) => batches.reduce((all, { sizes }) => all + sizes.reduce((n, size) => n + count(size), 0), 0);
  const runs = sum((size) => size.runs);
  const mean = runs === 0 ? '–' : (sum(({ size, runs: of }) => size * of) / runs).toFixed(1);
  const values = {
    'under way': underWay >= fixed.limit ? `${underWay} +` : underWay,
    done: succeeded,
    failed,
    'last minute': perMinute,
    'per batch': mean,
  };
  const list = byId('facts');
  if (list.childElementCount === 0) {
    const fact = (name) => element('div', {}, element('dt', {}, name), element('dd'));
    list.append(...Object.keys(values).map(fact));
  }
  Object.values(values).forEach((value, index) => write(list.children[index].lastChild, String(value)));
  list.children[2].classList.toggle('alarm', failed > 0);
}

function connect() {
  const events = new EventSource('/events');
  const connected = (yes) => {
    byId('lost').hidden = yes;
    byId('live').classList.toggle('off', !yes);
  };
  events.addEventListener('snapshot', ({ data }) => {
    const snapshot = JSON.parse(data);
    fixed = snapshot;
    composer.set(snapshot);
    const there = new Set(snapshot.jobs.map(({ key }) => key));
    show({ ...snapshot, gone: [...cards.keys()].filter((key) => !there.has(key)) });
    connected(true);
  });
  events.addEventListener('change', ({ data }) => show(JSON.parse(data)));
  events.addEventListener('error', () => {
    connected(false);
    // Otherwise the browser tries again by itself.
    if (events.readyState === EventSource.CLOSED) setTimeout(connect, SECOND_MS);
  });
}

connect();
setInterval(() => {
  for (const card of cards.values()) card.tick(Date.now() + ahead);
}, SECOND_MS);
