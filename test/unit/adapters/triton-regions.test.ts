import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  closeSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import type { Channel } from '../../../src/adapters/triton/channel.js';
import { isOrphan, nameOwn, orphanFiles } from '../../../src/adapters/triton/region-names.js';
import { RegionPool } from '../../../src/adapters/triton/region-pool.js';
import { writeAll } from '../../../src/adapters/triton/region.js';

describe('writeAll', () => {
  const file = join(tmpdir(), `imagen-write-${process.pid}`);
  afterEach(() => rmSync(file, { force: true }));

  /** As a file system does near its limit: a part of what was asked for, then nothing. */
  const limited = (room: number) => (_: number, __: unknown, ___: unknown, length: unknown) => {
    const count = Math.min(room, length as number);
    room -= count;
    if (count === 0) throw Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' });
    return count;
  };

  it('writes what is left after a short write, and fails where there is no room for it', () => {
    const asked: number[] = [];
    const short = limited(10);
    const write = (fd: number, buffer: unknown, offset: unknown, length: unknown) => {
      asked.push(offset as number);
      return short(fd, buffer, offset, Math.min(4, length as number));
    };
    writeAll(0, Buffer.alloc(10), 0, write);
    expect(asked).toEqual([0, 4, 8]);
    expect(() => writeAll(0, Buffer.alloc(11), 0, limited(10) as never)).toThrow('ENOSPC');
  });

  it('puts all bytes in their place', () => {
    const fd = openSync(file, 'w+');
    writeAll(fd, Buffer.from('abcdef'), 3);
    closeSync(fd);
    expect(readFileSync(file).subarray(3).toString()).toBe('abcdef');
  });
});

describe('RegionPool', () => {
  it('refuses a request above its cap without taking away what others keep', async () => {
    const calls: string[] = [];
    const channel = { call: (name: string) => Promise.resolve(calls.push(name)) } as unknown as Channel;
    const pool = new RegionPool(channel, 256 * 1024);
    const kept = await Promise.all([pool.take(1), pool.take(1)]);
    for (const region of kept) if (region) pool.give(region);
    expect(await pool.take(512 * 1024)).toBeUndefined();
    expect(calls).toEqual(['SystemSharedMemoryRegister', 'SystemSharedMemoryRegister']);
    expect(kept).toContain(await pool.take(1));
    await pool.close();
  });
});

describe('the names of regions', () => {
  const host = `imagen.${hostname()}.`;
  const own = readlinkSync('/proc/self/ns/pid').replace(/\D/g, '');
  const left: string[] = [];
  const put = (name: string, ageSeconds = 0) => {
    const file = `/dev/shm/${name}`;
    writeFileSync(file, '');
    const time = new Date(Date.now() - ageSeconds * 1_000);
    utimesSync(file, time, time);
    left.push(file);
    return name;
  };
  afterEach(() => left.splice(0).forEach((file) => rmSync(file, { force: true })));

  it('tell the living from the dead where their processes can be seen', async () => {
    const child = spawn(process.execPath, ['-e', '']);
    const dead = child.pid;
    await once(child, 'exit');
    expect(isOrphan(nameOwn())).toBe(false);
    expect(isOrphan(`${host}${own}.${process.ppid}.0a0b0c0d.1`)).toBe(false);
    expect(isOrphan(`${host}${own}.${dead}.0a0b0c0d.1`)).toBe(true);
    expect(isOrphan(`${host}${own}.${process.pid}.0a0b0c0d.1`)).toBe(true); // the process before this one in the container
    expect(isOrphan(`imagen.another-host.${own}.1.0a0b0c0d.1`)).toBe(false);
  });

  it('take a worker of another process namespace for alive as long as it shows that it is', () => {
    const region = `${host}1234.${process.pid}.0a0b0c0d.1`;
    expect(isOrphan(region)).toBe(true);
    const sign = put(`${host}1234.${process.pid}.0a0b0c0d.alive`);
    expect(isOrphan(region)).toBe(false);
    put(sign, 61);
    expect(isOrphan(region)).toBe(true);
    put(region);
    expect(orphanFiles().filter((file) => file.includes('.1234.'))).toEqual([`/dev/shm/${region}`, `/dev/shm/${sign}`]);
  });

  it('come with a sign of life', () => {
    const [mine] = nameOwn().split(/\.\d+$/);
    expect(readdirSync('/dev/shm')).toContain(`${mine ?? ''}.alive`);
  });
});
