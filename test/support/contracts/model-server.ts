/** What every ModelServer does: Triton by each transport, and the one in memory. */
import { expect, it } from 'vitest';
import type { InferenceRequest, ModelServer } from '../../../src/domain/ports.js';
import { createTensor } from '../../../src/domain/tensor.js';

/** @param server serves the model `echo`: version 1 gives its input back, and version 2 inverts it. It takes `origin` */
export function modelServerContract(server: () => ModelServer): void {
  const patient = new AbortController().signal;
  /** An image that no other request sends: its first bytes tell it apart. */
  const picture = (seed: number, side = 8) => {
    const data = Buffer.alloc(side * side * 3, seed);
    data.writeUInt32LE(seed);
    return createTensor('image', 'UINT8', [side, side, 3], data);
  };
  const ask = (more: Partial<InferenceRequest> = {}): InferenceRequest => ({
    ...{ model: 'echo', version: '1', inputs: [picture(1)], output: 'image', priority: 'batch', parameters: {} },
    ...more,
  });
  const infer = (more?: Partial<InferenceRequest>, signal = patient) => server().infer(ask(more), signal);
  const codeOf = (more: Partial<InferenceRequest>) =>
    infer(more).then(
      () => 'none',
      (error: unknown) => (error as { code: string }).code,
    );

  it('has the contract of each model, with its versions', async () => {
    const echo = server().contracts().get('echo');
    expect(echo).toMatchObject({ output: 'image', takesOrigin: true, maxBatchSize: 8, instances: 1 });
    expect([...(echo?.versions.keys() ?? [])]).toEqual(['1', '2']);
    expect(server().unready().has('echo')).toBe(false);
    const second = { ...echo, versions: new Map([['2', echo?.versions.get('2')]]) };
    expect(await server().contractsNow({ model: 'echo', version: '2' }, patient)).toEqual([second]);
    expect(await server().contractsNow({ model: 'echo', version: '9' }, patient)).toEqual([undefined]);
    expect(await server().contractsNow({ model: 'nothing', version: '1' }, patient)).toEqual([undefined]);
  });

  it('infers on the version that was asked for', async () => {
    const image = picture(7);
    expect(await infer({ inputs: [image] })).toEqual({ version: '1', output: image });
    const inverted = await infer({ version: '2', inputs: [image] });
    expect(inverted.version).toBe('2');
    expect(inverted.output.data).toEqual(image.data.map((value) => 255 - value));
  });

  it('brings each answer to its own caller, in bytes that are not those of the request', async () => {
    const images = Array.from({ length: 10 }, (_, i) => picture(i + 1, 8 + 8 * (i % 3)));
    const answers = await Promise.all(images.map((image) => infer({ inputs: [image] })));
    expect(answers.map(({ output }) => output)).toEqual(images);
    for (const { output } of answers) output.data.fill(0);
    expect(images.map(({ data }) => data.readUInt32LE())).toEqual(images.map((_, i) => i + 1));
  });

  it('refuses what the contract does not permit, and what is not served', async () => {
    expect(await codeOf({ model: 'nothing' })).toBe('MODEL_UNAVAILABLE');
    expect(await codeOf({ version: '9' })).toBe('MODEL_UNAVAILABLE');
    expect(await codeOf({ output: 'mask' })).toBe('MODEL_REJECTED_INPUT');
    expect(await codeOf({ inputs: [{ ...picture(1), shape: [8, 9, 3] }] })).toBe('MODEL_REJECTED_INPUT');
    const { data } = picture(1);
    expect(await codeOf({ inputs: [createTensor('image', 'UINT8', [8, 6, 4], data)] })).toBe('MODEL_REJECTED_INPUT');
    expect(await codeOf({ inputs: [picture(1), { ...picture(1), name: 'extra' }] })).toBe('MODEL_REJECTED_INPUT');
    await expect(infer({ version: '9' })).rejects.toMatchObject({
      needs: { kind: 'model', name: 'echo', version: '9' },
    });
  });

  it('gives up when its caller does', async () => {
    const reason = new Error('no longer wanted');
    await expect(infer({}, AbortSignal.abort(reason))).rejects.toBe(reason);
  });

  it('finds no fault in a model that answers, and counts its answers', async () => {
    const requests = async () => {
      const all = await server().statistics('echo', patient);
      return all.find(({ version }) => version === '2')?.requests ?? 0;
    };
    const before = await requests();
    await infer({ version: '2' });
    // Triton counts a little after it has answered.
    await expect.poll(requests).toBeGreaterThan(before);
    expect(await server().statistics('nothing', patient)).toEqual([]);
    expect(await server().faultOf({ model: 'echo', version: '1' }, performance.now(), patient)).toBeUndefined();
  });
}
