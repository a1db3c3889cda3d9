import { type InterceptingCall, Metadata, status } from '@grpc/grpc-js';
import { describe, expect, it } from 'vitest';
import { createLeases } from '../../../src/adapters/pubsub/leases.js';

/** Leases of ten seconds, a clock, and a service that answers when it is told to. */
function setUp() {
  let now = 0;
  const seen = { extended: 0, lost: 0 };
  const leases = createLeases(10, { extended: () => seen.extended++, lost: () => seen.lost++ }, () => now);
  /** @returns what answers the call */
  function call(method: string, ackIds: readonly string[], ackDeadlineSeconds: number) {
    let answer: (code: status) => void = () => undefined;
    const next = {
      start(_metadata: Metadata, listener: { onReceiveStatus(answer: object): void }) {
        answer = (code) => listener.onReceiveStatus({ code, details: '', metadata: new Metadata() });
      },
      sendMessageWithContext: () => undefined,
      sendMessage: () => undefined,
      halfClose: () => undefined,
    };
    const options = { method_definition: { path: `/google.pubsub.v1.Subscriber/${method}` } };
    const intercepted = leases.interceptor(options as never, () => next as unknown as InterceptingCall);
    intercepted.start(new Metadata(), { onReceiveMetadata: () => undefined });
    intercepted.sendMessage({ ackIds, ackDeadlineSeconds });
    return answer;
  }
  const extend = (...ackIds: string[]) => call('ModifyAckDeadline', ackIds, 10);
  return { leases, seen, call, extend, at: (ms: number) => (now = ms) };
}

describe('leases', () => {
  it('are extended when the service says so, but for the receipt', () => {
    const { leases, seen, extend, call, at } = setUp();
    leases.begin('a');
    leases.begin('b');
    extend('a', 'b')(status.OK);
    expect(seen.extended).toBe(0);
    at(5_000);
    extend('a', 'b', 'unknown')(status.OK);
    expect(seen.extended).toBe(2);
    extend('a')(status.UNAVAILABLE);
    call('Acknowledge', ['a'], 0)(status.OK);
    call('ModifyAckDeadline', ['b'], 0)(status.OK); // a nack
    expect(seen).toEqual({ extended: 2, lost: 0 });
    at(14_000);
    leases.end('a');
    leases.end('b');
    extend('a')(status.OK);
    expect(seen).toEqual({ extended: 2, lost: 0 });
  });

  it('are lost when the last one confirmed is over, once each', () => {
    const { leases, seen, extend, at } = setUp();
    for (const one of ['late', 'refused', 'forgotten', 'kept']) leases.begin(one);
    extend('late', 'refused', 'forgotten', 'kept')(status.OK);
    at(9_000);
    extend('kept')(status.OK);
    extend('refused')(status.UNAVAILABLE);
    at(11_000);
    extend('late')(status.OK);
    expect(seen.lost).toBe(1);
    for (const one of ['late', 'refused', 'forgotten', 'kept']) leases.end(one);
    expect(seen.lost).toBe(3);
  });

  it('are not lost by an answer that takes its time', () => {
    const { leases, seen, extend, at } = setUp();
    leases.begin('a');
    at(9_000);
    const answer = extend('a');
    at(12_000);
    answer(status.OK);
    at(18_000);
    leases.end('a');
    expect(seen.lost).toBe(0);
  });
});
