/* global URL, URLSearchParams, document, fetch */
import { byId, element, write } from './dom.js';

const MOST_OPERATIONS = 8;

/** The form that makes a picture a job. */
export function createComposer() {
  const [form, drop, file, preview] = ['composer', 'drop', 'file', 'preview'].map(byId);
  let chosen = [];
  /** A File, or the Blob of a sample. */
  let picture;
  let maxBytes = Infinity;
  let offered = '';
  /** The job that was sent last. */
  let own;

  function complain(code, message) {
    write(byId('error'), code === undefined ? '' : `${code}: ${message}`);
    byId('error').hidden = code === undefined;
  }

  function take(blob, name) {
    picture = blob;
    complain();
    URL.revokeObjectURL(preview.src);
    preview.src = URL.createObjectURL(blob);
    preview.hidden = false;
    drop.classList.add('full');
    write(byId('drop-text'), name);
    for (const button of byId('samples').querySelectorAll('button')) {
      button.setAttribute('aria-pressed', String(button.dataset.name === name));
    }
  }

  function choose(name) {
    if (chosen.includes(name)) chosen = chosen.filter((one) => one !== name);
    else if (chosen.length < MOST_OPERATIONS) chosen = [...chosen, name];
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
    complain();
    if (!picture) return complain('INPUT_EMPTY', 'choose a picture first');
    if (picture.size > maxBytes) return complain('INPUT_TOO_LARGE', `expected at most ${maxBytes / 1024 ** 2} MiB`);
    if (chosen.length === 0) return complain('INVALID_MESSAGE', 'choose at least one operation');
    const format = byId('format').value;
    const query = new URLSearchParams({ operations: chosen.join(','), ...(format ? { format } : {}) });
    byId('submit').disabled = true;
    try {
      const response = await fetch(`/jobs?${query}`, { method: 'POST', body: picture });
      const { jobId, error } = await response.json();
      if (error) return complain(error.code, error.message);
      own = jobId;
      write(byId('sent'), `Sent as ${jobId}.`);
    } catch {
      complain('NOT_SENT', 'the page’s server does not answer');
    } finally {
      byId('submit').disabled = false;
    }
  }

  form.addEventListener('submit', (event) => {
    event.preventDefault();
    void send();
  });
  file.addEventListener('change', () => {
    if (file.files[0]) take(file.files[0], file.files[0].name);
  });
  // A picture that misses the zone would otherwise replace the page.
  for (const name of ['dragenter', 'dragover', 'dragleave', 'drop']) {
    document.addEventListener(name, (event) => {
      event.preventDefault();
      drop.classList.toggle('over', name === 'dragenter' || name === 'dragover');
      const [dropped] = name === 'drop' ? event.dataTransfer.files : [];
      if (dropped) take(dropped, dropped.name);
    });
  }

  return {
    /** What does not change: the samples, the formats, the limit. */
    set({ samples, formats, maxBytes: limit }) {
      maxBytes = limit;
      if (byId('format').options.length > 0) return;
      byId('format').append(
        element('option', { value: '' }, 'the input'),
        ...formats.map((format) => element('option', { value: format }, format.toUpperCase())),
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

    /** The operations that Triton serves now. */
    offer(models, answers) {
      const now = models.join();
      if (now === offered && byId('operations').childElementCount > 0) return;
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
      showChosen();
      if (models.length === 0) write(byId('chosen'), answers ? 'Triton serves no model.' : 'Triton does not answer.');
    },

    /** Says how the job that was sent last has ended. */
    follow({ jobId, status, timingsMs, error }) {
      if (jobId === undefined || jobId !== own || status === 'queued' || status === 'running') return;
      const how = status === 'succeeded' ? `in ${Math.round(timingsMs?.total ?? 0)} ms` : (error?.code ?? '');
      write(byId('sent'), `${jobId}: ${status} ${how}`.trim());
    },
  };
}
