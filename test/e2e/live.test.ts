/** The live page in a browser, beside a real worker on the real parts. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { pathToFileURL } from 'node:url';
import type { Browser, Locator, Page } from 'playwright-core';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { renderPage } from '../../scripts/dev/demo/page.js';
import { MAX_BODY_BYTES } from '../../scripts/dev/demo/live/server.js';
import { localDir, root } from '../../scripts/dev/stack/paths.js';
import { freePort } from '../../scripts/dev/stack/ports.js';
import { complaintsOf, openBrowser } from '../support/browser.js';
import { FaultProxy } from '../../scripts/lab/faults/proxy.js';
import { createScene, type Scene, until, type WorkerProcess } from '../support/scene.js';

const photo = join(root, 'test/fixtures/photos/coffee.jpg');
const pictures = join(localDir, 'live-page');
const NOTHING = /^$/;

let scene: Scene;
/** Between the page and Triton. The worker has a connection of its own. */
let proxy: FaultProxy;
let worker: WorkerProcess;
let steps: Record<string, string>;
let live: Awaited<ReturnType<typeof startLivePage>>;
let browser: Browser;
let page: Page;
let complaints: string[];

const closers: (() => unknown)[] = [];

beforeAll(async () => {
  await mkdir(pictures, { recursive: true });
  scene = await createScene();
  closers.push(() => scene.close());
  const [pagePort, workerPort] = [await freePort(), await freePort()];
  proxy = await FaultProxy.before(scene.env.TRITON_URL);
  closers.push(() => proxy.close());
  steps = {
    PORT: String(workerPort),
    NODE_OPTIONS: `--import ${join(root, 'scripts/dev/demo/tell-steps.js')}`,
    STEPS_PORT: String(pagePort),
  };
  const metrics = `http://127.0.0.1:${workerPort}/metrics`;
  [live, browser, worker] = await Promise.all([
    startLivePage(pagePort, { ...scene.env, TRITON_URL: proxy.address, WORKER_METRICS: metrics }),
    openBrowser(),
    scene.startWorker(steps),
  ]);
  closers.push(() => browser.close());
  page = await browser.newPage({ viewport: { width: 1280, height: 900 }, reducedMotion: 'reduce' });
  page.setDefaultTimeout(15_000);
  complaints = complaintsOf(page);
  await page.goto(live.url);
});

afterAll(async () => {
  for (const close of closers.reverse()) await close();
});

async function startLivePage(port: number, env: NodeJS.ProcessEnv) {
  const child = spawn(process.execPath, ['--import', 'tsx', join(root, 'scripts/dev/demo/live.ts')], {
    cwd: root,
    env: { ...env, PAGE_PORT: String(port) },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  closers.push(() => child.kill('SIGKILL'));
  let log = '';
  child.stderr.on('data', (chunk: Buffer) => (log += chunk.toString()));
  const exit = once(child, 'exit');
  const [url] = (await Promise.race([once(createInterface(child.stdout), 'line'), exit])) as [unknown];
  expect(url, log).toBe(`http://127.0.0.1:${port}/`);
  return { url: String(url), exit, end: () => child.kill('SIGTERM') };
}

const cardOf = (jobId: string) => page.locator(`article[data-job="${jobId}"]`);
const statusOf = (jobId: string) => cardOf(jobId).locator('.status').textContent();

/** Where a slider's line stands. */
const lineOf = (frame: Locator) =>
  frame.evaluate((node: { style: { getPropertyValue(name: string): string } }) => node.style.getPropertyValue('--at'));

/** As a browser does when files are let go above the zone. Each is filled up with zeros to `size` bytes. */
async function drop(on: Page, ...files: { name: string; bytes: Buffer; size?: number }[]): Promise<void> {
  const given = files.map(({ name, bytes, size = 0 }) => ({ name, base64: bytes.toString('base64'), size }));
  const dataTransfer = await on.evaluateHandle(`(() => {
    const transfer = new DataTransfer();
    for (const { name, base64, size } of ${JSON.stringify(given)}) {
      const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
      const rest = new Uint8Array(Math.max(0, size - bytes.length));
      transfer.items.add(new File([bytes, rest], name, { type: 'image/jpeg' }));
    }
    return transfer;
  })()`);
  await on.dispatchEvent('#drop', 'dragover', { dataTransfer });
  await on.dispatchEvent('#drop', 'drop', { dataTransfer });
}

describe('the live page', () => {
  it('says what to do while there is nothing to see', async () => {
    await page.getByText('No jobs yet.').waitFor();
    expect(await page.locator('#cards article').count()).toBe(0);
  });

  it('makes a job of a dropped picture and two operations, and shows what became of it', async () => {
    await drop(page, { name: 'coffee.jpg', bytes: await readFile(photo) });
    await page.locator('#drop.full').waitFor();
    const chip = (name: string) => page.locator(`.chip[data-name="${name}"]`);
    for (const name of ['style_aged', 'style_comic', 'style_aged']) await chip(name).click();
    await chip('style_aged').click();
    expect(await page.locator('#chosen').textContent()).toBe('style_comic → style_aged');
    expect(await chip('style_aged').textContent()).toBe('2style_aged');
    await page.locator('#format').selectOption('webp');
    await page.locator('#submit').click();

    const card = page.locator('article[data-status="succeeded"]');
    await card.waitFor();
    const jobId = (await card.getAttribute('data-job')) ?? '';
    const [{ completion } = expect.fail()] = await scene.completions(1, jobId);
    expect(completion).toMatchObject({ status: 'succeeded', output: { contentType: 'image/webp' } });
    expect(completion.steps?.map(({ model }) => model)).toEqual(['style_comic', 'style_aged']);
    expect(await card.locator('.steps code').allTextContents()).toEqual(['style_comic', 'style_aged']);
    expect(await card.locator('.strip .done').count()).toBe(8);
    const { queued = 0, total = 0 } = completion.timingsMs ?? {};
    const inAll = Math.round(queued + total);
    expect(await card.locator('.legend .total').textContent()).toBe(`in all ${inAll} ms`);
    await page.getByText(`${jobId}: succeeded in ${inAll} ms`).waitFor();
    expect(await page.locator('#facts').innerText()).toMatch(/^done\s+1$/m);

    const sizeOf = (side: string) =>
      page.evaluate(`(async () => {
        const image = document.querySelector('article[data-job="${jobId}"] img[alt$="${side}"]');
        await image.decode();
        return [image.naturalWidth, image.naturalHeight, image.getBoundingClientRect().width > 100];
      })()`);
    expect(await sizeOf('before')).toEqual([600, 400, true]);
    expect(await sizeOf('after')).toEqual([600, 400, true]);
  });

  it('moves the line between before and after by keyboard and by pointer', async () => {
    const frame = page.locator('article .frame').first();
    const at = () => lineOf(frame);
    expect(await at()).toBe('50%');
    await frame.locator('input').focus();
    await page.keyboard.press('ArrowRight');
    expect(await at()).toBe('51%');
    const { x, y, width, height } = (await frame.boundingBox()) ?? expect.fail();
    await page.mouse.click(x + width / 4, y + height / 2);
    expect(await at()).toBe('25%');
  });

  it('shares its slider with the page that the demo leaves behind, which is a file', async () => {
    const job = { name: 'x', title: 'X', text: 'x', photo, operations: [] };
    const outcome = { job, jobId: 'x', before: 'x.png', after: 'x.png' };
    await writeFile(join(pictures, 'x.png'), await sharp(photo).resize(60, 40).png().toBuffer());
    const burst = {
      ...{ model: 'm', meanBatch: 1.5, wallMs: 1, runs: [1, 2].map((size) => ({ size, runs: 1 })) },
      pictures: [
        { width: 60, height: 40, after: 'x.png' },
        { width: 30, height: 20, problem: 'lost' },
      ],
    };
    const html = renderPage({ outcomes: [outcome], wallMs: 1 }, burst, new Date());
    await writeFile(join(pictures, 'static.html'), html);
    const file = await browser.newPage();
    const refused = complaintsOf(file);
    await file.goto(pathToFileURL(join(pictures, 'static.html')).href);
    await file.locator('.frame input').focus();
    await file.keyboard.press('ArrowLeft');
    expect(await lineOf(file.locator('.frame'))).toBe('49%');
    expect(await file.locator('.burst .columns').getAttribute('aria-label')).toBe('1 runs of 1, 1 runs of 2');
    expect(await file.locator('.burst .wall').innerText()).toBe('failed');
    expect(refused).toEqual([]);
    await file.close();
  });

  it('shows jobs of others while they wait, as they go through the stages, and how Triton batched them', async () => {
    await scene.upload('slow.jpg', await readFile(photo));
    const input = { uri: `gs://uploads-${scene.id}/slow.jpg` };
    await scene.publish({
      jobId: 'slow',
      operations: [{ model: 'sleep', parameters: { ms: 2_500 } }, 'style_aged'],
      input,
    });
    await cardOf('slow').locator('.strip .done').nth(2).waitFor();
    expect(await cardOf('slow').locator('.strip .done').allTextContents()).toEqual(['queued', 'fetch', 'decode']);
    expect(await cardOf('slow').locator('.strip .current').textContent()).toBe('infer');
    expect(await statusOf('slow')).toMatch(/^running( \d+ s)?$/);
    await page.locator('#batches [data-model="sleep"] .flying').waitFor();
    await cardOf('slow').and(page.locator('[data-status="succeeded"]')).waitFor();
    await page.locator('#batches [data-model="style_aged"] .column').first().waitFor();

    const sent = await scene.imagen('submit', photo, '--job-id', 'from-terminal', '-p', 'style_aged');
    expect(sent, sent.stderr).toMatchObject({ code: 0 });
    await cardOf('from-terminal').and(page.locator('[data-status="succeeded"]')).waitFor();
  });

  it('shows why a job failed, and takes no markup from strangers', async () => {
    const input = { uri: `gs://uploads-${scene.id}/none.jpg` };
    await scene.publish({ jobId: 'lost', operations: ['style_aged'], input });
    await cardOf('lost').and(page.locator('[data-status="failed"]')).waitFor();
    expect(await cardOf('lost').locator('.problem').textContent()).toMatch(
      /^There is no object at input\.uri, .* INPUT_NOT_FOUND$/,
    );
    expect(await cardOf('lost').locator('.mat').textContent()).toBe('failed');
    expect(await cardOf('lost').locator('.strip .broken').textContent()).toBe('fetch');
    await scene.upload('cut.jpg', (await readFile(photo)).subarray(0, 20_000));
    const cut = { uri: `gs://uploads-${scene.id}/cut.jpg` };
    await scene.publish({ jobId: 'cut', operations: ['style_aged'], input: cut });
    const words = cardOf('cut').locator('.mat:has(img) > p');
    await words.waitFor();
    await words.scrollIntoViewIfNeeded();
    const { x, y, width, height } = (await words.boundingBox()) ?? expect.fail();
    const top = await page.evaluate(`document.elementFromPoint(${x + width / 2}, ${y + height / 2})?.localName`);
    expect(top, 'the words lie above the picture').toBe('p');
    await scene.publish({ jobId: 'markup', operations: ['style_aged'], input, '<img src=x onerror=alert(1)>': 1 });
    const problem = cardOf('markup').locator('.problem');
    await problem.waitFor();
    expect(await problem.textContent()).toContain('<img src=x onerror=alert(1)>: unknown field');
    expect(await problem.locator('img').count()).toBe(0);
  });

  it('keeps the focus, sends once, and misses no outcome that comes before the answer; a JPEG becomes white', async () => {
    const bytes = await sharp({ create: { width: 64, height: 48, channels: 4, background: '#c408' } })
      .png()
      .toBuffer();
    const picture = { name: 'glass.png', mimeType: 'image/png', buffer: bytes };
    const other = await browser.newPage();
    const refused = complaintsOf(other);
    await other.goto(live.url);
    await other.locator('#file').setInputFiles(picture);
    await other.getByText('glass.png').waitFor();
    expect(await other.locator('#file').inputValue(), 'so that it can be chosen again').toBe('');
    await other.locator('.chip[data-name="style_aged"]').click();
    expect(await other.locator('#format-hint').isVisible()).toBe(false);
    await other.locator('#format').selectOption('jpeg');
    expect(await other.locator('#format-hint').isVisible()).toBe(true);
    await other.evaluate(`{
      const real = window.fetch;
      window.posts = 0;
      window.fetch = async (...request) => {
        window.posts += 1;
        const response = await real(...request);
        await new Promise((resolve) => (window.answer = resolve));
        return response;
      };
    }`);
    const before = await page.locator('article[data-status="succeeded"]').count();
    await other.locator('#submit').focus();
    await other.keyboard.press('Enter');
    await other.keyboard.press('Enter');
    await other.locator('article[data-status="succeeded"]').nth(before).waitFor();
    expect(await other.locator('#submit').getAttribute('aria-disabled')).toBe('true');
    expect(await other.locator('#sent').textContent()).toBe('');
    await other.evaluate('window.answer()');
    await other.getByText(/^page-\S+: succeeded in \d+ ms$/).waitFor();
    expect(await other.locator('#submit').getAttribute('aria-disabled')).toBe('false');
    expect(await other.evaluate('[document.activeElement.id, window.posts]')).toEqual(['submit', 1]);
    expect(await other.locator('article').first().locator('.sizes').textContent()).toContain('64 × 48 JPEG');
    expect(refused).toEqual([]);
    await other.close();
  });

  it('says before anything is sent what is missing and what cannot be sent, and takes one of several pictures', async () => {
    const other = await browser.newPage();
    const refused = complaintsOf(other);
    await other.goto(live.url);
    await other.locator('#submit').click();
    expect(await other.locator('#error').textContent()).toBe('Choose a picture first. NO_PICTURE');
    await other.getByLabel('sample: chelsea').click();
    await other.locator('#drop.full').waitFor();
    await other.locator('#submit').click();
    expect(await other.locator('#error').textContent()).toContain('Choose at least one operation.');
    await other.locator('.chip[data-name="style_aged"]').click();
    expect(await other.locator('#error').isVisible(), 'its cause is gone').toBe(false);
    await other.locator('.chip[data-name="style_aged"]').click();

    const jpeg = await readFile(photo);
    await drop(other, { name: 'one.jpg', bytes: jpeg }, { name: 'two.jpg', bytes: jpeg });
    await other.locator('#drop.full').getByText('one.jpg').waitFor();
    await other.getByText('One picture is sent at a time').waitFor();
    await other.locator('.chip[data-name="style_aged"]').click();
    for (const [code, bytes, size] of [
      ['UNSUPPORTED_FORMAT', Buffer.from('<svg xmlns="http://www.w3.org/2000/svg"/>'), 0],
      ['INPUT_TOO_LARGE', jpeg, MAX_BODY_BYTES + 1],
      ['INPUT_CORRUPT', jpeg.subarray(0, 100), 0],
      ['INPUT_EMPTY', Buffer.alloc(0), 0],
    ] as const) {
      await drop(other, { name: `${code}.jpg`, bytes, size });
      await other.locator('#error').getByText(`${code}.jpg: `).waitFor();
      expect(await other.locator('#preview').isVisible()).toBe(false);
      expect(await other.locator('#drop-text').textContent()).toContain('Drop a picture here');
      expect(await other.locator('#alone').isVisible()).toBe(false);
      await other.locator('#submit').click();
      await other.locator('#submit[aria-disabled="false"]').waitFor();
      expect(await other.locator('#error code').textContent()).toBe(code);
      expect(await other.locator('#sent').textContent()).toBe('');
    }
    await drop(other, { name: 'one.jpg', bytes: jpeg });
    await other.locator('#drop.full').getByText('one.jpg').waitFor();
    expect(await other.locator('#error').isVisible()).toBe(false);
    expect(refused).toEqual([]);
    await other.close();
  });

  it('sends one job for two clicks, takes a TIFF, and shows on a phone where its card is', async () => {
    const phone = await browser.newPage({ viewport: { width: 375, height: 800 }, reducedMotion: 'reduce' });
    const refused = complaintsOf(phone);
    await phone.goto(live.url);
    const scan = await sharp(photo).resize(90, 60).tiff().toBuffer();
    await phone.locator('#file').setInputFiles({ name: 'scan.tif', mimeType: 'image/tiff', buffer: scan });
    await phone.getByText('scan.tif').waitFor();
    await phone.locator('#preview').waitFor({ state: 'hidden' });
    await phone.locator('.chip[data-name="style_aged"]').click();
    await phone.evaluate(`{
      const real = window.fetch;
      window.posts = 0;
      window.fetch = (...request) => ((window.posts += 1), real(...request));
    }`);
    await phone.locator('#submit').dblclick();
    await phone.getByText(/^page-\S+: succeeded in \d+ ms$/).waitFor();
    expect(await phone.evaluate('window.posts')).toBe(1);
    const jobId = /page-\S+(?=:)/.exec((await phone.locator('#sent').textContent()) ?? '')?.[0] ?? '';
    expect(jobId).not.toBe('');
    const card = phone.locator(`article[data-job="${jobId}"]`);
    await card.locator('.mat > img').waitFor();
    expect(await card.locator('.mat img').getAttribute('alt'), 'no browser shows a TIFF').toBe(`${jobId}: after`);
    const box = await card.boundingBox();
    expect(box?.y).toBeGreaterThan(-400);
    expect(box?.y).toBeLessThan(700);
    expect(refused).toEqual([]);
    await phone.close();
  });

  it('cancels a job that waits or is in work', async () => {
    await scene.upload('long.jpg', await readFile(photo));
    const input = { uri: `gs://uploads-${scene.id}/long.jpg` };
    await scene.publish({ jobId: 'long', operations: [{ model: 'sleep', parameters: { ms: 20_000 } }], input });
    await cardOf('long').locator('.strip .current').getByText('infer').waitFor();
    await cardOf('long').getByRole('button', { name: 'Cancel' }).click();
    await cardOf('long').and(page.locator('[data-status="canceled"]')).waitFor();
    expect(await cardOf('long').getByRole('button', { name: 'Cancel' }).isVisible()).toBe(false);
    const [{ completion } = expect.fail()] = await scene.completions(1, 'long');
    expect(completion.status).toBe('canceled');
  });

  it('sends a burst of sixty sizes, as one card, and shows their batches', async () => {
    const other = await browser.newPage();
    await other.goto(live.url);
    await other.locator('.chip[data-name="style_aged"]').click();
    await other.locator('#burst').dblclick();
    const group = other.locator('article.group');
    await group.getByText('60 of 60').waitFor({ timeout: 60_000 });
    expect(await group.locator('.sizes').textContent()).toBe('60 results');
    expect(await group.locator('.tile img').count()).toBe(60);
    expect(await other.locator('article.group').count()).toBe(1);
    const burst = scene.published.filter(({ completion }) => completion.jobId?.startsWith('burst-'));
    expect(burst).toHaveLength(60);
    const mean = await other.locator('#batches [data-model="style_aged"] .mean b').textContent();
    expect(Number(mean)).toBeGreaterThan(1);
    await page.locator('article.group').getByText('60 of 60').waitFor();
    await other.close();
  });

  it('says that Triton does not answer, and that it does again', async () => {
    await page.locator('#no-triton').waitFor({ state: 'hidden' });
    const back = proxy.refuse(2_500);
    proxy.reset();
    await page.locator('#no-triton').waitFor();
    await page.getByText('Triton does not answer. Jobs wait, and go on when it is back.').waitFor();
    await back;
    await page.locator('#no-triton').waitFor({ state: 'hidden' });
  });

  it('says that the worker does not answer, while jobs wait for the next one', async () => {
    worker.signal('SIGKILL');
    await worker.exit;
    await page.locator('#no-worker').waitFor();
    await page.getByText('The demo’s worker does not answer. Jobs wait in the queue').waitFor();
    const input = { uri: `gs://uploads-${scene.id}/slow.jpg` };
    await scene.publish({ jobId: 'waiting', operations: ['style_aged'], input });
    await cardOf('waiting').and(page.locator('[data-status="queued"]')).waitFor();
    await page.screenshot({ path: join(pictures, 'no-worker.png') });
    worker = await scene.startWorker(steps);
    await page.locator('#no-worker').waitFor({ state: 'hidden' });
    await cardOf('waiting').and(page.locator('[data-status="succeeded"]')).waitFor();
  });

  it('draws nothing for the last seconds where a model did not run', async () => {
    const empty = page.locator('#batches .recent[style="height: 0%;"]').first();
    // The page draws its bars anew each second: a look may meet none.
    await until(
      async () => (await empty.count()) > 0 && (await empty.boundingBox())?.height === 0,
      10_000,
      () => 'a bar of a model that did not run in the last seconds is drawn',
    );
  });

  it('fits a desktop and a phone, by day and by night', async () => {
    for (const [name, width] of [
      ['desktop', 1280],
      ['phone', 375],
    ] as const) {
      for (const colorScheme of ['light', 'dark'] as const) {
        await page.setViewportSize({ width, height: 900 });
        await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
        expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(width);
        await page.screenshot({ path: join(pictures, `${name}-${colorScheme}.png`), fullPage: true });
      }
    }
  });

  it('has caused no error, no failed request and no breach of its own policy', () => {
    expect(complaints.join('\n')).toMatch(NOTHING);
  });

  it('leaves no subscription behind, and its readers are told that they see it no more', async () => {
    const subscriptions = async (topic: string) => (await scene.pubsub.topic(topic).getSubscriptions())[0];
    expect(await subscriptions(scene.env.IMAGEN_JOBS_TOPIC)).toHaveLength(2);
    live.end();
    expect((await live.exit)[0]).toBe(0);
    await page.locator('#lost').waitFor();
    expect(await subscriptions(scene.env.IMAGEN_JOBS_TOPIC)).toHaveLength(1);
    await until(async () => (await subscriptions(scene.env.IMAGEN_COMPLETIONS_TOPIC)).length === 1, 5_000);
  });
});
