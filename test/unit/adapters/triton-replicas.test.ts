import { beforeEach, describe, expect, it } from 'vitest';
import { Replicas, type SickFault } from '../../../src/adapters/triton/replicas.js';

describe('Replicas', () => {
  let time: number;
  let replicas: Replicas;
  beforeEach(() => {
    time = 1_000;
    replicas = new Replicas(() => time);
  });
  const failed = (replica: string, sentAt: number, fault: SickFault = 'process') =>
    replicas.failed('upscale', '1', replica, fault, sentAt);

  const answered = (replica: string, version = '1') => replicas.answered('upscale', version, replica, 1);

  it('suspects what was executing when the process died, and neither what waited behind it nor what came later', () => {
    answered('a');
    time += 5_000;
    expect(failed('a', 2_000)).toBe(true); // however long it took
    time += 5; // of the same batch
    expect(failed('a', 2_000)).toBe(true);
    time += 1_000; // had waited in the queue
    expect(failed('a', 3_000)).toBe(false);
    expect(failed('a', 6_002)).toBe(false); // sent after the first answer
  });

  it('suspects nothing that meets a process that was never seen alive, unless it fails at once', () => {
    time += 1_100;
    expect(failed('a', 1_000)).toBe(false);
    time += 20_000;
    expect(failed('a', 21_050)).toBe(false);
    time += 100;
    expect(failed('a', 22_150)).toBe(true);
  });

  it('suspects again after a success, and where it is another replica or version', () => {
    for (const replica of ['a', 'b']) answered(replica);
    answered('a', '2');
    time += 2_000;
    expect(failed('a', 1_100)).toBe(true);
    expect(failed('b', 1_100)).toBe(true);
    expect(replicas.failed('upscale', '2', 'a', 'process', 1_100)).toBe(true);
    time += 2_000;
    expect(failed('a', 3_500)).toBe(false);
    answered('a');
    time += 2_000;
    expect(failed('a', 5_000)).toBe(true);
  });

  it('suspects again after the version was out of use, and not after a mere silence', () => {
    answered('a');
    expect(failed('a', 100)).toBe(true);
    time += 2_000;
    expect(failed('a', 1_500)).toBe(false);
    replicas.outOfUse('upscale', '1', 'b');
    time += 1_500;
    expect(failed('a', 3_000)).toBe(false);
    replicas.outOfUse('upscale', '1');
    time += 1_500;
    expect(failed('a', 4_500)).toBe(true);
    time += 11_500;
    expect(failed('a', 16_500)).toBe(false);
  });

  it('suspects what was executing also after a lack of memory, which the process had outlived', () => {
    answered('a');
    expect(failed('a', 100, 'memory')).toBe(false);
    time += 2_000;
    expect(failed('a', 1_100)).toBe(true);
  });

  it('does not take the success of one process of a model for the health of another', () => {
    answered('a');
    expect(failed('a', 100)).toBe(true);
    time += 2_000;
    replicas.answered('upscale', '1', 'a', 2);
    expect(failed('a', 2_000)).toBe(false);
    time += 11_000;
    replicas.answered('upscale', '1', 'a', 2);
    expect(replicas.sick()).toEqual([]);
  });

  it('suspects nobody of a lack of memory', () => {
    expect(failed('a', 100, 'memory')).toBe(false);
  });

  it('keeps requests from where one was late, and takes a later end of the process for another fault', () => {
    answered('a');
    expect(failed('a', 100, 'hang')).toBe(false);
    expect(replicas.toAvoid('upscale', '1')).toEqual(['a']);
    expect(replicas.sick()).toMatchObject([{ replica: 'a', fault: 'hang' }]);
    time += 2_000;
    expect(failed('a', 1_100)).toBe(true);
    expect(failed('a', 1_100, 'hang')).toBe(false);
    expect(replicas.sick()).toMatchObject([{ replica: 'a', fault: 'process' }]);
    time += 1_500;
    expect(failed('a', 2_600)).toBe(false);
  });

  it('keeps the requests of that model from it, but for one now and then', () => {
    failed('a', 100);
    expect(replicas.toAvoid('upscale', '1')).toEqual(['a']);
    expect(replicas.toAvoid('upscale', '2')).toEqual([]);
    time += 5_000;
    expect([replicas.toAvoid('upscale', '1'), replicas.toAvoid('upscale', '1')]).toEqual([[], ['a']]);
    replicas.answered('upscale', '1', 'a', 1);
    expect(replicas.toAvoid('upscale', '1')).toEqual([]);
  });

  it('tells what is sick, and forgets what is gone', () => {
    failed('a', 100);
    expect(replicas.sick()).toEqual([{ model: 'upscale', version: '1', replica: 'a', fault: 'process' }]);
    time += 300_001;
    expect(replicas.sick()).toEqual([]);
  });

  it('knows of a fault while it lasts, and afterwards for whoever waited meanwhile', () => {
    answered('a');
    expect(replicas.faultSince('upscale', '1', 0)).toBeUndefined();
    time = 2_000;
    failed('a', 1_500);
    expect(replicas.faultSince('upscale', '1', 5_000)).toMatchObject({ replica: 'a', fault: 'process', since: 2_000 });
    expect(replicas.faultSince('upscale', '2', 0)).toBeUndefined();
    time = 3_000;
    answered('a');
    expect(replicas.faultSince('upscale', '1', 2_001)).toBeUndefined();
    expect(replicas.faultSince('upscale', '1', 1_999)).toMatchObject({ failedAt: 2_000 });
  });

  it('takes a lack of memory for no reason to wait', () => {
    failed('a', 900, 'memory');
    expect(replicas.faultSince('upscale', '1', 0)).toBeUndefined();
  });

  it('knows when a replica has last answered, until it fails', () => {
    answered('a');
    expect([999, 1_001].map((at) => replicas.answeredSince('upscale', '1', 'a', at))).toEqual([true, false]);
    failed('a', 900);
    expect(replicas.answeredSince('upscale', '1', 'a', 0)).toBe(false);
  });
});
