import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it, vi } from 'vitest';
import { Lifecycle, type Service } from '../../../src/app/lifecycle.js';

const untilAborted = (signal: AbortSignal) =>
  new Promise<never>((_resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
  });

function create({ stopMs = 1_000 } = {}) {
  const log: string[] = [];
  const lifecycle = new Lifecycle({
    stopMs,
    onStopFailed: (name, error) => log.push(`${name} failed to stop: ${String(error)}`),
  });
  const service = (name: string, more: Partial<Service> = {}): Service => ({
    name,
    async start(signal) {
      log.push(`start ${name}`);
      await more.start?.(signal);
    },
    async stop() {
      log.push(`stop ${name}`);
      await more.stop?.();
    },
  });
  return { log, lifecycle, service };
}

describe('a lifecycle', () => {
  it('starts services in order, one after the other, and stops them in reverse', async () => {
    const { log, lifecycle, service } = create();
    const late = service('a', { start: () => Promise.resolve().then(() => void log.push('a runs')) });
    expect(lifecycle.state).toBe('new');
    await lifecycle.start([late, service('b'), { name: 'neither starts nor stops' }]);
    expect(lifecycle.state).toBe('running');
    await lifecycle.stop();
    expect(log).toEqual(['start a', 'a runs', 'start b', 'stop b', 'stop a']);
    expect(lifecycle.state).toBe('stopped');
  });

  it('starts and stops once, however often it is told', async () => {
    const { log, lifecycle, service } = create();
    await Promise.all([lifecycle.start([service('a')]), lifecycle.start([service('b')])]);
    await Promise.all([lifecycle.stop(), lifecycle.stop()]);
    await lifecycle.stop();
    expect(log).toEqual(['start a', 'stop a']);
  });

  it('starts nothing after a stop', async () => {
    const { log, lifecycle, service } = create();
    await lifecycle.stop();
    await lifecycle.start([service('a')]);
    expect(log).toEqual([]);
    expect(lifecycle.state).toBe('stopped');
  });

  it('ends a start in progress, and stops only what has begun', async () => {
    const { log, lifecycle, service } = create();
    const started = lifecycle.start([service('a'), service('b', { start: untilAborted }), service('c')]);
    await vi.waitUntil(() => log.includes('start b'));
    expect(lifecycle.state).toBe('starting');
    await lifecycle.stop();
    await started; // a start that was stopped is no error
    expect(log).toEqual(['start a', 'start b', 'stop b', 'stop a']);
  });

  it('rejects when a service does not start, and stops what has begun', async () => {
    const { log, lifecycle, service } = create();
    const broken = service('b', { start: () => Promise.reject(new Error('port in use')) });
    await expect(lifecycle.start([service('a'), broken, service('c')])).rejects.toThrow('port in use');
    await lifecycle.stop();
    expect(log).toEqual(['start a', 'start b', 'stop b', 'stop a']);
  });

  it('stops the others when one fails to stop', async () => {
    const { log, lifecycle, service } = create();
    await lifecycle.start([service('a'), service('b', { stop: () => Promise.reject(new Error('no')) })]);
    await lifecycle.stop();
    expect(log.slice(2)).toEqual(['stop b', 'b failed to stop: Error: no', 'stop a']);
  });

  it('tells all services to stop, although one never ends', async () => {
    const { log, lifecycle, service } = create({ stopMs: 20 });
    await lifecycle.start([service('a'), service('b', { stop: () => new Promise(() => undefined) })]);
    await lifecycle.stop();
    expect(log.slice(2)).toEqual(['stop b', 'stop a']);
  });

  it('does not wait for ever for a start that ignores its signal', async () => {
    const { log, lifecycle, service } = create({ stopMs: 20 });
    void lifecycle.start([service('a', { start: () => new Promise(() => undefined) })]);
    await lifecycle.stop();
    expect(log).toEqual(['start a', 'stop a']);
  });
});

it('leaves nothing running, whenever it is stopped', async () => {
  // Start and stop meet at every possible moment: each service takes a few turns of the event loop to start and to stop.
  for (let run = 0; run < 200; run++) {
    const running = new Set<string>();
    const { lifecycle } = create();
    const turns = async (count: number) => {
      for (let i = 0; i < count; i++) await new Promise((resume) => setImmediate(resume));
    };
    const services = ['a', 'b', 'c', 'd'].map((name, i) => ({
      name,
      async start() {
        running.add(name);
        await turns((run + i) % 5);
      },
      async stop() {
        await turns((run * i) % 3);
        expect([...running].at(-1)).toBe(name); // those that began later have ended
        running.delete(name);
      },
    }));
    const started = lifecycle.start(services);
    await turns(run % 23);
    await Promise.all([started, lifecycle.stop(), sleep(0)]);
    expect(running).toEqual(new Set());
    expect(lifecycle.state).toBe('stopped');
  }
});
