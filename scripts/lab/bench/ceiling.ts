/** How near is the worker's Triton client to one over gRPC's C core that sends the same tensors? Requests a second, four in flight. */
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { connectTriton } from '../../../src/adapters/triton/server.js';
import { createTensor } from '../../../src/domain/tensor.js';
import { run } from '../../dev/run.js';
import type { Parts } from '../parts.js';
import { PEERS, peersPython } from './contenders.js';
import { withTraffic } from './harness.js';
import { type Benchmark, figure, figuresFor, median, reported, round } from './result.js';

const MODEL = 'echo';
const AT_ONCE = 4;
/** 3 MB, and 200 KB. */
const CASES = [
  { name: '3MB.shm', side: 1000, count: 200, carrier: 'shm', goal: 0.9 },
  { name: '3MB.unary', side: 1000, count: 200, carrier: 'unary', goal: 0.5 },
  { name: '200KB.shm', side: 258, count: 800, carrier: 'shm', goal: undefined },
  { name: '200KB.unary', side: 258, count: 800, carrier: 'unary', goal: undefined },
] as const;
type Case = (typeof CASES)[number];

export const ceiling: Benchmark = (asked) => {
  const echo = { name: MODEL, fixedMs: 0, eachMs: 0, plans: ['whole' as const], maxWholePixels: 13_000_000 };
  return withTraffic({ models: [echo], progress: asked.progress }, async (parts) => {
    const python = await peersPython((text) => asked.progress.say(text));
    return figuresFor(CASES, asked, async (one) => {
      const rates = { ours: [] as number[], theirs: [] as number[] };
      for (let i = 0; i < asked.rounds; i++) {
        rates.ours.push(await ours(parts, one));
        rates.theirs.push(await theirs(parts, python, one));
      }
      const [mine, peers] = [median(rates.ours), median(rates.theirs)];
      const detail = { requestsPerSecond: { ours: round(mine), theirs: round(peers) }, rounds: asked.rounds };
      const [name, ratio] = [`ceiling.${one.name}`, mine / peers];
      return one.goal === undefined ? reported(name, ratio, detail) : figure(name, ratio, '>=', one.goal, detail);
    });
  });
};

async function ours({ env }: Parts, { side, count, carrier }: Case): Promise<number> {
  const triton = connectTriton({ url: env.TRITON_URL, transport: carrier });
  const { signal } = new AbortController();
  const image = createTensor('image', 'UINT8', [side, side, 3], randomBytes(side * side * 3));
  const request = {
    model: MODEL,
    version: '1',
    inputs: [image],
    output: 'image',
    parameters: {},
    priority: 'batch',
  } as const;
  const lane = async (many: number) => {
    for (let i = 0; i < many; i++) await triton.infer(request, signal);
  };
  const lanes = (many: number) => Promise.all(Array.from({ length: AT_ONCE }, () => lane(many)));
  try {
    await triton.refresh(signal);
    await lanes(count / AT_ONCE);
    const begun = performance.now();
    await lanes(count / AT_ONCE);
    return count / ((performance.now() - begun) / 1000);
  } finally {
    await triton.close();
  }
}

async function theirs({ env }: Parts, python: string, { side, count, carrier }: Case): Promise<number> {
  const args = [join(PEERS, 'driver.py'), MODEL, String(side), String(count), carrier];
  const { stdout } = await run(python, args, { env });
  return Number(stdout);
}
