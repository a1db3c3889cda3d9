import { describe, expect, it } from 'vitest';
import { JobError } from '../../../src/domain/errors.js';
import type { Delivery } from '../../../src/domain/ports.js';
import type { Logger } from '../../../src/telemetry/logger.js';
import type { Metrics } from '../../../src/telemetry/metrics/index.js';
import { createObserver } from '../../../src/telemetry/observer.js';

describe('the log line of a message that comes again', () => {
  it('has the id of its job, by which one searches', () => {
    const lines: unknown[] = [];
    const write = (fields: object, text: string) => lines.push({ ...fields, text });
    const metrics = { jobDeferred: () => undefined, jobGivenBack: () => undefined };
    const observer = createObserver({ info: write, warn: write } as unknown as Logger, metrics as unknown as Metrics);
    const delivery = { messageId: 'm1', attempt: 2 } as Delivery;
    observer.putBack(delivery, new JobError('MODEL_UNAVAILABLE', 'down'), 'order-1');
    observer.givenBack(delivery, new Error('stopping'), undefined);
    expect(lines).toMatchObject([
      { jobId: 'order-1', messageId: 'm1', code: 'MODEL_UNAVAILABLE', text: 'message put back into the queue' },
      { jobId: undefined, messageId: 'm1', text: 'message given back' },
    ]);
  });
});
