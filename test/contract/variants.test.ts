/**
 * The repository for Triton's ONNX Runtime backend, on a real Triton: that backend itself is not in the wheel, so a
 * Python model with the same inputs and outputs runs the network in its place. What is proved is all the rest: that the
 * model in front keeps its contract, and that what it hands on is batched and comes back right.
 */
import { copyFile, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { connectTriton, type Triton } from '../../src/adapters/triton/server.js';
import type { InferenceRequest } from '../../src/domain/ports.js';
import { createTensor, originTensor } from '../../src/domain/tensor.js';
import { corner, scenery } from '../../scripts/lab/bench/stitch.js';
import { cacheDir, localDir, root } from '../../scripts/dev/stack/paths.js';
import { type Stack, upStack } from '../../scripts/dev/stack/up.js';
import { runProgram } from '../support/program.js';
import { tritonPython } from '../support/python.js';

const patient = new AbortController().signal;
const MODEL = 'style_aged';
const INNER = 'style_aged_onnx';

describe('a model whose network another model runs', () => {
  const dir = join(localDir, `test-variants-${process.pid}`);
  const models = join(dir, 'models');
  const ours = connectTriton({ url: inject('stack').env.TRITON_URL });
  let stack: Stack | undefined;
  let variant: Triton;

  beforeAll(async () => {
    const script = join(root, 'triton/scripts/export_models.py');
    const args = [script, '--backend', 'onnxruntime', '--models', MODEL, '--cache', cacheDir, '--output', models];
    const { code, stderr } = await runProgram(tritonPython, args, process.env);
    expect(code, stderr).toBe(0);
    const config = join(models, INNER, 'config.pbtxt');
    const text = await readFile(config, 'utf8');
    expect(text).toContain('backend: "onnxruntime"');
    await writeFile(config, text.replace('backend: "onnxruntime"', 'backend: "python"'));
    await copyFile(join(root, 'test/fixtures/stand-ins/onnxruntime.py'), join(models, INNER, '1/model.py'));

    stack = await upStack({
      ...{ dir, ports: 'free', parts: ['triton'], models: ['style_comic'] },
      modelRepositories: [{ folder: models }],
    });
    variant = connectTriton({ url: stack.env.TRITON_URL });
    await Promise.all([variant.refresh(patient), ours.refresh(patient)]);
  });
  afterAll(async () => {
    await Promise.all([ours.close(), variant.close()]);
    await stack?.down();
    await rm(dir, { recursive: true, force: true });
  });

  async function tile(seed: number, side = 256): Promise<InferenceRequest> {
    const whole = await scenery({ width: 300, height: 300 });
    const { rgb } = corner(whole, { width: side, height: side });
    rgb.fill(seed, 0, 300);
    return {
      ...{ model: MODEL, version: '1', output: 'image', priority: 'batch', parameters: {} },
      inputs: [createTensor('image', 'UINT8', [side, side, 3], rgb), originTensor(40 * seed, 8, 1000, 700)],
    };
  }

  it('shows the worker the same contract', () => {
    expect(ours.contracts().get(MODEL)?.versions.size).toBe(1);
    expect(variant.contracts().get(MODEL)).toEqual(ours.contracts().get(MODEL));
  });

  it('keeps the inner model out of the way', () => {
    expect([...variant.contracts().keys()]).not.toContain(INNER);
    expect(variant.unready().get(INNER)).toContain('output image');
  });

  it('answers as the model behind the Python backend does, byte for byte', async () => {
    const request = await tile(3);
    const [was, now] = await Promise.all([ours.infer(request, patient), variant.infer(request, patient)]);
    expect(now.output.data.equals(was.output.data)).toBe(true);
  });

  it('hands parameters and origin on', async () => {
    const request = await tile(3);
    const [image = expect.fail()] = request.inputs;
    const changed = [
      { ...request, parameters: { strength: 0.3, grain: 0 } },
      { ...request, inputs: [image, originTensor(0, 0, 512, 256)] },
      { ...request, inputs: [image] },
    ];
    const plain = await variant.infer(request, patient);
    for (const one of changed) {
      const [was, now] = await Promise.all([ours.infer(one, patient), variant.infer(one, patient)]);
      expect(now.output.data.equals(was.output.data)).toBe(true);
      expect(now.output.data.equals(plain.output.data)).toBe(false);
    }
    const wrong = variant.infer({ ...request, parameters: { strength: 3 } }, patient);
    await expect(wrong).rejects.toMatchObject({ code: 'MODEL_REJECTED_INPUT' });
  });

  it('joins what comes at once into fewer runs of the network', async () => {
    const requests = await Promise.all(Array.from({ length: 8 }, (_, i) => tile(i + 1)));
    const alone: Buffer[] = [];
    for (const request of requests) alone.push((await variant.infer(request, patient)).output.data);
    const executions = async () => {
      const [counted] = await variant.statistics(INNER, patient);
      return counted?.batches.reduce((sum, batch) => sum + batch.executions, 0) ?? 0;
    };
    const before = await executions();
    const answers = await Promise.all(requests.map((request) => variant.infer(request, patient)));
    expect(answers.map(({ output }, i) => output.data.equals(alone[i] ?? Buffer.alloc(0)))).toEqual(
      Array.from({ length: 8 }, () => true),
    );
    await expect.poll(executions).toBeGreaterThan(before);
    expect((await executions()) - before).toBeLessThan(8);
  });
});
