/* global EventSource, URLSearchParams, matchMedia, setInterval, setTimeout */
import { showBatches } from './batches.js';
import { createCard } from './card.js';
import { createComposer } from './composer.js';
import { byId, element, write } from './dom.js';
import { createGroup } from './group.js';
import { onClick, post } from './post.js';
import { setWords, showProblem } from './problem.js';

const SECOND_MS = 1000;

/** Where the panels are in one column, a new card is below the screen. */
const NARROW = '(max-width: 860px)';
const BURST_MODEL = 'enhance';

const cards = new Map();
const groups = new Map();
/** A job that was sent from here and has no card yet. */
let awaited;
let models = [];
const composer = createComposer((jobId) => {
  awaited = jobId;
  reveal();
});
let fixed = {};
/** How far the server's clock is before this one, in milliseconds. */
let ahead = 0;

function show({ now, facts, triton, jobs, gone }) {
  ahead = now - Date.now();
  gone.forEach(remove);
  for (const job of jobs) {
    (job.group ? groupOf(job) : cardOf(job)).update(job);
    composer.follow(job);
  }
  reveal();
  models = triton.models;
  byId('empty').hidden = cards.size + groups.size > 0;
  byId('no-worker').hidden = triton.worker;
  byId('no-triton').hidden = triton.answers;
  composer.offer(triton.models, triton.answers);
  showBatches(triton, fixed.recentMs);
  showFacts(facts, triton.batches);
}

function cardOf(job) {
  const card = cards.get(job.key) ?? createCard(job, fixed.strip);
  if (!cards.has(job.key)) byId('cards').prepend(card.node);
  cards.set(job.key, card);
  return card;
}

function groupOf({ group }) {
  const one = groups.get(group.id) ?? createGroup(group);
  if (!groups.has(group.id)) byId('cards').prepend(one.node);
  groups.set(group.id, one);
  return one;
}

function remove(key) {
  cards.get(key)?.node.remove();
  cards.delete(key);
  for (const [id, group] of groups) {
    group.remove(key);
    if (group.size > 0) continue;
    group.node.remove();
    groups.delete(id);
  }
}

/** Shows the card of a job that was sent from here, as soon as there is one. */
function reveal() {
  const card = cards.get(awaited);
  if (!card) return;
  awaited = undefined;
  if (matchMedia(NARROW).matches) card.node.scrollIntoView({ block: 'center' });
}

onClick(byId('burst'), async () => {
  const chosen = composer.chosen();
  const operations = chosen.length > 0 ? chosen : models.includes(BURST_MODEL) ? [BURST_MODEL] : models.slice(0, 1);
  const { error } = await post(`/bursts?${new URLSearchParams({ operations })}`);
  showProblem(byId('burst-error'), error);
});

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

const shown = () => [...cards.keys(), ...[...groups.values()].flatMap((group) => group.keys())];

function connect() {
  const events = new EventSource('/events');
  const connected = (yes) => {
    byId('lost').hidden = yes;
    byId('live').classList.toggle('off', !yes);
  };
  events.addEventListener('snapshot', ({ data }) => {
    const snapshot = JSON.parse(data);
    fixed = snapshot;
    setWords(snapshot.words);
    composer.reconnected();
    composer.set(snapshot);
    const there = new Set(snapshot.jobs.map(({ key }) => key));
    show({ ...snapshot, gone: shown().filter((key) => !there.has(key)) });
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
