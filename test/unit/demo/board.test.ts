import { describe, expect, it, vi } from 'vitest';
import { createBoard } from '../../../scripts/dev/demo/live/board.js';
import type { StepDone } from '../../../src/pipeline/step-done.js';
import type { Completion } from '../../../src/domain/completion.js';

const allowed = { allowedInputs: ['gs://in'], allowedOutputs: ['gs://out'] };

function message(jobId: string, more: object = {}, messageId = `m-${jobId}`) {
  const job = { jobId, operations: ['a', { model: 'b', version: '2' }], input: { uri: 'gs://in/x.jpg' }, ...more };
  return { messageId, data: Buffer.from(JSON.stringify(job)), publishedAt: new Date(1_000) };
}

function completion(jobId: string, more: Partial<Completion> = {}): Buffer {
  return Buffer.from(
    JSON.stringify({
      ...{ schemaVersion: 1, eventId: `e-${jobId}`, jobId, status: 'succeeded' },
      input: { uri: 'gs://in/x.jpg', generation: '7', width: 3, height: 2 },
      output: {
        ...{ uri: `gs://out/${jobId}.png`, generation: '8', contentType: 'image/png' },
        ...{ bytes: 9, width: 3, height: 2, crc32c: '' },
      },
      steps: [{ model: 'a', servedVersion: '1', plan: 'tile', requests: 4 }],
      timingsMs: { queued: 1, fetch: 2, total: 3 },
      ...more,
    } satisfies Completion),
  );
}

const failed = (code: 'INPUT_NOT_FOUND' | 'JOB_ID_REUSED', stage: 'fetch' | 'recall', text = 'no') =>
  ({
    status: 'failed',
    error: { code, stage, retryable: false, message: text },
    output: undefined,
    input: undefined,
  }) as const;

const stepsOf = (jobId: string, attempt: number, ...steps: StepDone['step'][]) =>
  steps.map((step): StepDone => ({ jobId, attempt, step }));

describe('a cancellation', () => {
  it('is known of a job that has not ended, until its completion comes', () => {
    const board = createBoard(allowed);
    board.arrived(message('one'));
    expect(board.cancelable('one')).toBe('one');
    expect(board.cancelable('two')).toBeUndefined();
    board.canceled('one');
    expect(board.jobs()).toMatchObject([{ status: 'canceling' }]);
    board.ended(completion('one', { status: 'canceled', output: undefined }));
    expect(board.jobs()).toMatchObject([{ status: 'canceled' }]);
    expect(board.cancelable('one')).toBeUndefined();
    board.canceled('one');
    expect(board.jobs()).toMatchObject([{ status: 'canceled' }]);
  });

  it('is not offered for a message whose id stands for another job, or that has none', () => {
    const board = createBoard(allowed);
    board.arrived({ messageId: 'm', data: Buffer.from('not a job'), publishedAt: new Date(0) });
    board.arrived(message('one'));
    board.ended(completion('one'));
    board.ended(completion('one', { eventId: 'other', ...failed('JOB_ID_REUSED', 'recall') }));
    for (const { key } of board.jobs()) expect(board.cancelable(key), key).toBeUndefined();
  });
});

it('tells the group of a job, as its message or its completion gives it', () => {
  const board = createBoard(allowed);
  const group = { id: 'g', total: 2 };
  board.arrived(message('one', { group }));
  board.ended(completion('two', { group }));
  expect(board.jobs()).toMatchObject([{ group }, { group }]);
});

describe('a job on the board', () => {
  it('arrives, goes through the stages, and ends', () => {
    const board = createBoard(allowed);
    board.arrived(message('one'));
    expect(board.jobs()).toMatchObject([
      { key: 'one', status: 'queued', arrivedAt: 1_000, stages: [0, 0, 0, 0, 0, 0, 0, 0], pictures: {} },
    ]);
    expect(board.jobs()[0]?.operations).toEqual([{ model: 'a' }, { model: 'b', version: '2' }]);
    stepsOf('one', 1, 'route', 'fetch', 'decode', 'plan', 'infer').forEach((step) => board.stepped(step));
    expect(board.jobs()).toMatchObject([{ status: 'running', stages: [1, 1, 1, 0.5, 0, 0, 0, 0] }]);
    expect(board.jobs()[0]?.pictures).toEqual({ before: '1' });
    board.ended(completion('one'));
    expect(board.jobs()).toMatchObject([
      {
        ...{ status: 'succeeded', stages: [1, 1, 1, 1, 1, 1, 1, 1], timingsMs: { total: 3 } },
        operations: [{ model: 'a', version: '1', plan: 'tile', requests: 4 }],
        pictures: { before: '1', after: '8' },
      },
    ]);
  });

  it('begins its way anew with another attempt, and takes no more steps of an earlier one', () => {
    const board = createBoard(allowed);
    board.arrived(message('one'));
    stepsOf('one', 1, 'route', 'fetch', 'decode').forEach((step) => board.stepped(step));
    stepsOf('one', 2, 'route', 'fetch').forEach((step) => board.stepped(step));
    stepsOf('one', 1, 'decode', 'infer').forEach((step) => board.stepped(step));
    expect(board.jobs()[0]?.stages).toEqual([1, 1, 0, 0, 0, 0, 0, 0]);
  });

  it('is shown by its completion alone, as far as its times tell, where no worker tells its steps', () => {
    const board = createBoard(allowed);
    board.ended(
      completion('one', { ...failed('INPUT_NOT_FOUND', 'fetch'), timingsMs: { queued: 1, fetch: 2, total: 3 } }),
    );
    expect(board.jobs()).toMatchObject([
      { status: 'failed', error: { code: 'INPUT_NOT_FOUND', stage: 'fetch' }, stages: [1, 0, 0, 0, 0, 0, 1, 1] },
    ]);
    expect(board.jobs()[0]?.pictures).toEqual({});
  });

  it('is one job however often it is published, and its outcome one however often it is announced', () => {
    const board = createBoard(allowed);
    board.stepped({ jobId: 'one', attempt: 1, step: 'route' });
    board.arrived(message('one'));
    board.arrived(message('one', { operations: ['other'] }, 'again'));
    board.ended(completion('one'));
    board.ended(completion('one'));
    board.stepped({ jobId: 'one', attempt: 2, step: 'route' });
    expect(board.jobs()).toHaveLength(1);
    expect(board.facts()).toEqual({ underWay: 0, succeeded: 1, failed: 0, perMinute: 1 });
  });

  it('keeps its outcome when its id is used for another, which is shown beside it', () => {
    const reused = { ...failed('JOB_ID_REUSED', 'recall'), eventId: 'other' };
    const board = createBoard(allowed);
    board.arrived(message('one'));
    board.ended(completion('one', reused)); // announced first
    board.ended(completion('one'));
    expect(board.jobs().map(({ jobId, status }) => [jobId, status])).toEqual([
      ['one', 'succeeded'],
      ['one', 'failed'],
    ]);
    expect(new Set(board.jobs().map(({ key }) => key)).size).toBe(2);
    expect(board.jobs()[1]?.stages).toEqual([1, 1, 0, 0, 0, 0, 0, 1]);
  });

  it('that cannot be read meets its completion by its message', () => {
    const board = createBoard(allowed);
    board.arrived({ messageId: '42', data: Buffer.from('{"jobId": "<b>"'), publishedAt: new Date(0) });
    expect(board.jobs()).toMatchObject([{ status: 'queued', operations: [] }]);
    const { status, error } = failed('INPUT_NOT_FOUND', 'fetch');
    board.ended(Buffer.from(JSON.stringify({ schemaVersion: 1, eventId: 'e', status, error, messageId: '42' })));
    expect(board.jobs()).toMatchObject([{ status: 'failed' }]);
  });
});

describe('what strangers say', () => {
  it('is no picture outside of what the configuration permits, whoever names it', () => {
    const board = createBoard(allowed);
    const secret = { uri: 'gs://secret/x.jpg' };
    board.arrived(message('one', { input: secret }));
    stepsOf('one', 1, 'route', 'fetch', 'decode').forEach((step) => board.stepped(step));
    expect(board.picture('one', 'before')).toBeUndefined();
    expect(board.jobs()[0]?.pictures).toEqual({});
    const output = { generation: '8', contentType: 'image/png', bytes: 9, width: 3, height: 2, crc32c: '' };
    board.ended(
      completion('one', { input: { ...secret, width: 3 }, output: { ...output, uri: 'gs://out-of-it/x.png' } }),
    );
    expect(board.picture('one', 'before')).toBeUndefined();
    expect(board.picture('one', 'after')).toBeUndefined();
    board.ended(completion('two', { output: { ...output, uri: 'gs://out/../secret/x.png' } }));
    expect(board.picture('two', 'after')).toBeUndefined();
    expect(board.picture('two', 'before')).toEqual({ bucket: 'in', name: 'x.jpg', generation: '7' });
    expect(board.picture('three', 'before')).toBeUndefined();
  });

  it('counts for nothing where it is no completion', () => {
    const board = createBoard(allowed);
    for (const text of ['', 'null', '[]', '{"eventId":1}', '{"schemaVersion":1,"eventId":"e","status":"splendid"}']) {
      board.ended(Buffer.from(text));
    }
    board.ended(completion('one', { warnings: ['x'.repeat(300_000)] }));
    expect(board.jobs()).toEqual([]);
    expect(board.facts()).toMatchObject({ succeeded: 0, failed: 0 });
  });

  it('is clipped', () => {
    const board = createBoard(allowed);
    board.ended(completion('one', failed('INPUT_NOT_FOUND', 'fetch', 'x'.repeat(10_000))));
    expect(board.jobs()[0]?.error?.message.length).toBeLessThan(500);
    board.ended(completion('two', { metadata: { a: 'x'.repeat(4_000) } }));
    expect(JSON.stringify(board.jobs()).length).toBeLessThan(3_000);
  });

  it('is no job when only steps speak of it', () => {
    const board = createBoard(allowed);
    stepsOf('one', 1, 'publish', 'infer').forEach((step) => board.stepped(step));
    board.stepped({ jobId: '../x', attempt: 1, step: 'route' });
    expect(board.jobs()).toEqual([]);
  });
});

describe('the board', () => {
  it('keeps the last jobs, and lets those that have ended go first', () => {
    const board = createBoard({ ...allowed, limit: 3 });
    for (const name of ['a', 'b', 'c']) board.arrived(message(name));
    board.ended(completion('b'));
    board.takeChanges();
    board.arrived(message('d'));
    board.arrived(message('e'));
    expect(board.jobs().map(({ key }) => key)).toEqual(['c', 'd', 'e']);
    const changes = board.takeChanges();
    expect(changes.gone).toEqual(['b', 'a']);
    expect(changes.jobs.map(({ key }) => key)).toEqual(['d', 'e']);
    board.ended(completion('a')); // it had to make room, but it has ended
    expect(board.facts()).toMatchObject({ succeeded: 2 });
  });

  it('says once that something has changed, until it is asked what', () => {
    const onChange = vi.fn();
    const board = createBoard({ ...allowed, onChange });
    board.arrived(message('a'));
    board.arrived(message('b'));
    expect(onChange).toHaveBeenCalledTimes(1);
    expect(board.takeChanges().jobs).toHaveLength(2);
    expect(board.takeChanges()).toEqual({ jobs: [], gone: [] });
    board.ended(completion('a'));
    expect(onChange).toHaveBeenCalledTimes(2);
  });

  it('forgets after a minute how many ended in it', () => {
    let now = 5_000_000;
    const board = createBoard({ ...allowed, now: () => now });
    for (const name of ['a', 'b']) board.ended(completion(name));
    now += 30_000;
    board.ended(completion('c'));
    expect(board.facts().perMinute).toBe(3);
    now += 30_000;
    expect(board.facts().perMinute).toBe(1);
    now += 60_000;
    expect(board.facts()).toEqual({ underWay: 0, succeeded: 3, failed: 0, perMinute: 0 });
  });
});
