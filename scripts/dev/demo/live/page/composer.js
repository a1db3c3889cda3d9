/* global URL, URLSearchParams, document, fetch, performance */
import { byId, element, write } from './dom.js';
import { isOver } from './job.js';
import { problemOf } from './look.js';
import { post } from './post.js';
import { showProblem } from './problem.js';

const MOST_OPERATIONS = 8;
const NO_PICTURE = ['NO_PICTURE', 'Choose a picture first.'];
/** The same order again within this time is a double click, in milliseconds. */
const DOUBLE_CLICK_MS = 1_500;

/** @param onSent called with the job's id */
export function createComposer(onSent) {
  const [form, drop, file, preview, format] = ['composer', 'drop', 'file', 'preview', 'format'].map(byId);
  const invitation = [...byId('drop-text').childNodes];
  let chosen = [];
  /** A File, or the Blob of a sample; absent where `problem` says why. */
  let picture;
  let problem = NO_PICTURE;
  /** Settles when what was chosen last has been looked at. */
  let looking = Promise.resolve();
  let know;
  /** What is a picture, once that is known. */
  const limits = new Promise((resolve) => (know = resolve));
  let offered = '';
  let sending = false;
  let own;
  let last = { at: -Infinity };
  /** Jobs that were heard of while one was sent, whose answer may come after its outcome. */
  const heard = new Map();

  function complain(code, message) {
    showProblem(byId('error'), code === undefined ? undefined : { code, message });
  }

  function take(blob, name, { others = false } = {}) {
    byId('alone').hidden = !others;
    complain();
    const turn = (async () => {
      const url = URL.createObjectURL(blob);
      const found = await problemOf(blob, url, await limits).catch(() => ['NOT_READ', 'the file cannot be read']);
      if (looking === turn) show(blob, name, url, found);
      else URL.revokeObjectURL(url);
    })();
    looking = turn;
  }

  function show(blob, name, url, found) {
    [picture, problem] = found ? [undefined, [found[0], `${name}: ${found[1]}`]] : [blob, undefined];
    URL.revokeObjectURL(preview.src);
    if (picture) preview.src = url;
    else preview.removeAttribute('src');
    preview.hidden = !picture;
    drop.classList.toggle('full', Boolean(picture));
    byId('drop-text').replaceChildren(...(picture ? [name] : invitation));
    for (const button of byId('samples').querySelectorAll('button')) {
      button.setAttribute('aria-pressed', String(Boolean(picture) && button.dataset.name === name));
    }
    if (problem) complain(...problem);
  }

  function choose(name) {
    if (chosen.includes(name)) chosen = chosen.filter((one) => one !== name);
    else if (chosen.length < MOST_OPERATIONS) chosen = [...chosen, name];
    complain();
    showChosen();
  }

  function showChosen() {
    for (const chip of byId('operations').children) {
      const place = chosen.indexOf(chip.dataset.name);
      chip.setAttribute('aria-pressed', String(place >= 0));
      write(chip.firstChild, place >= 0 ? String(place + 1) : '+');
    }
    write(byId('chosen'), chosen.length === 0 ? 'None chosen yet.' : chosen.join(' → '));
  }

  async function send() {
    if (sending) return;
    busy(true);
    await looking;
    await order();
    busy(false);
  }

  async function order() {
    complain();
    if (problem) return complain(...problem);
    if (chosen.length === 0) return complain('NO_OPERATION', 'Choose at least one operation.');
    const query = new URLSearchParams({ operations: chosen, ...(format.value && { format: format.value }) });
    const path = `/jobs?${query}`;
    if (last.path === path && last.picture === picture && performance.now() - last.at < DOUBLE_CLICK_MS) return;
    const { jobId, error } = await post(path, picture);
    if (error) return complain(error.code, error.message);
    last = { path, picture, at: performance.now() };
    own = jobId;
    write(byId('sent'), `Sent as ${jobId}.`);
    onSent(jobId);
    if (heard.has(jobId)) follow(heard.get(jobId));
  }

  /** A button that is disabled would lose the focus. */
  function busy(yes) {
    sending = yes;
    heard.clear();
    byId('submit').setAttribute('aria-disabled', String(yes));
  }

  function follow(job) {
    const { jobId, status, timingsMs, error } = job;
    if (jobId === undefined || !isOver(job)) return;
    if (sending) heard.set(jobId, job);
    if (jobId !== own) return;
    const inAll = (timingsMs?.queued ?? 0) + (timingsMs?.total ?? 0);
    const how = status === 'succeeded' ? `in ${Math.round(inAll)} ms` : (error?.code ?? '');
    write(byId('sent'), `${jobId}: ${status} ${how}`.trim());
  }

  // Workers read more than browsers show.
  preview.addEventListener('error', () => (preview.hidden = true));
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    void send();
  });
  format.addEventListener('change', () => {
    byId('format-hint').hidden = format.value !== 'jpeg';
    complain();
  });
  file.addEventListener('change', () => {
    const [taken] = file.files;
    if (taken) take(taken, taken.name);
    file.value = ''; // or the same file would be no change the next time
  });
  // A picture that misses the zone would otherwise replace the page.
  for (const name of ['dragenter', 'dragover', 'dragleave', 'drop']) {
    document.addEventListener(name, (event) => {
      event.preventDefault();
      drop.classList.toggle('over', name === 'dragenter' || name === 'dragover');
      const [dropped, ...others] = name === 'drop' ? event.dataTransfer.files : [];
      if (dropped) take(dropped, dropped.name, { others: others.length > 0 });
    });
  }

  return {
    follow,

    chosen: () => chosen,

    /** The page's server answers again. */
    reconnected() {
      if (byId('error').querySelector('code')?.textContent === 'NOT_SENT') complain();
    },

    /** What does not change: the samples, the formats, what is a picture. */
    set({ samples, formats, maxBytes, beginning }) {
      know({ maxBytes, beginning });
      if (format.options.length > 0) return;
      format.append(
        element('option', { value: '' }, 'the input'),
        ...formats.map((name) => element('option', { value: name }, name.toUpperCase())),
      );
      byId('samples').append(
        ...samples.map((name) => {
          const image = element('img', { src: `/samples/${name}.jpg`, alt: '' });
          const button = element('button', { type: 'button', 'aria-pressed': 'false', 'data-name': name }, image);
          button.setAttribute('aria-label', `sample: ${name}`);
          button.addEventListener('click', async () => take(await (await fetch(image.src)).blob(), name));
          return element('li', {}, button);
        }),
      );
    },

    offer(models, answers) {
      const now = models.join();
      if (models.length === 0) write(byId('chosen'), answers ? 'Triton serves no model.' : 'Triton does not answer.');
      if (now === offered) return;
      offered = now;
      chosen = chosen.filter((name) => models.includes(name));
      byId('operations').replaceChildren(
        ...models.map((name) => {
          const mark = element('span', { class: 'mark', 'aria-hidden': 'true' });
          const chip = element('button', { type: 'button', class: 'chip', 'data-name': name }, mark, name);
          chip.addEventListener('click', () => choose(name));
          return chip;
        }),
      );
      if (models.length > 0) showChosen();
    },
  };
}
