/** Stand-ins for a GPU: Triton models that sleep as long as an execution would take, and give their input back. */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

export interface StandIn {
  readonly name: string;
  /** Launch of an execution, in milliseconds. */
  readonly fixedMs: number;
  /** For each 256 × 256 pixels of the batch, in milliseconds. */
  readonly eachMs: number;
  /** Its contract, as triton/README.md has it: what is left out has the contract's default. */
  readonly plans: readonly ('tile' | 'whole' | 'fit')[];
  readonly tileSizes?: readonly number[];
  readonly margin?: number;
  readonly border?: 'repeat';
  readonly maxWholePixels?: number;
  /** Whether a job may ask for `{ "fail": true }`, which the model then does. */
  readonly failsOnDemand?: boolean;
  /** Side of the only input that the network takes; any size when absent. */
  readonly side?: number;
  /** Whether Triton makes batches of its requests; true by default. */
  readonly batching?: boolean;
  readonly instances?: number;
  /** How many versions it has, all alike; 1 by default. */
  readonly versions?: number;
  /** Whether it shares one stand-in for a GPU, which runs one execution at a time, with the others that do. */
  readonly gpu?: boolean;
  /** Levels of priority and a limit of the queue, as the real models have. */
  readonly policies?: boolean;
  /** A limit of the queue, in requests, and nothing else of that kind. */
  readonly queueSize?: number;
  /**
   * What the model does when the first pixel of a picture is red: it raises an error for the whole batch, ends its
   * process, or hangs.
   */
  readonly red?: 'raise' | 'die' | 'hang';
}

const MAX_BATCH = 8;
/** Of the fixed network an image counts as one `each`, whatever its size. */
const UNIT = 65_536;

const MODEL = `
import contextlib
import fcntl
import json
import os
import signal
import time

import triton_python_backend_utils as pb_utils

HANGS_S = 8


class TritonPythonModel:
    def initialize(self, args):
        parameters = json.loads(args["model_config"])["parameters"]
        lock = parameters.get("gpu", {}).get("string_value")
        self.red = parameters.get("red", {}).get("string_value")
        self.gpu = open(lock, "w") if lock else None
        self.log = open(lock + ".log", "a", buffering=1) if lock else None
        self.name = args["model_name"]
        self.fixed, self.each, self.unit = (
            float(parameters[name]["string_value"]) for name in ("fixed_ms", "each_ms", "unit")
        )

    def execute(self, requests):
        images = [pb_utils.get_input_tensor_by_name(request, "image").as_numpy() for request in requests]
        pixels = sum(image.shape[0] * image.shape[1] * image.shape[2] for image in images)
        if self.red and any(self.is_red(image) for image in images):
            self.fail()
        with self.turn():
            begun = time.monotonic()
            time.sleep((self.fixed + self.each * pixels / self.unit) / 1000)
            if self.log:
                self.log.write(f"{self.name} {begun} {time.monotonic()}\\n")
        return [self.answer(request, image) for request, image in zip(requests, images)]

    def is_red(self, image):
        red, green, blue = (int(value) for value in image[0, 0, 0])
        return red > 200 and green < 50 and blue < 50

    def fail(self):
        if self.red == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.red == "hang":
            return time.sleep(HANGS_S)
        raise ValueError("this model takes no red pictures")

    def answer(self, request, image):
        if json.loads(request.parameters()).get("fail"):
            return pb_utils.InferenceResponse([], pb_utils.TritonError("as it was told to"))
        return pb_utils.InferenceResponse([pb_utils.Tensor("image", image)])

    @contextlib.contextmanager
    def turn(self):
        if self.gpu:
            fcntl.flock(self.gpu, fcntl.LOCK_EX)
        yield
        if self.gpu:
            fcntl.flock(self.gpu, fcntl.LOCK_UN)
`;

const POLICIES = `
  priority_levels: 2
  default_priority_level: 2
  default_queue_policy { timeout_action: REJECT default_timeout_microseconds: 600000000 max_queue_size: 256 }
`;

const FAILS_ON_DEMAND = { type: 'object', properties: { fail: { type: 'boolean' } } };

function parametersOf(model: StandIn, lock: string): Readonly<Record<string, unknown>> {
  const { fixedMs, eachMs, side, plans, tileSizes, margin, border, maxWholePixels, failsOnDemand, gpu, red } = model;
  return {
    ...{ fixed_ms: fixedMs, each_ms: eachMs, unit: side === undefined ? UNIT : side * side },
    ...{ gpu: gpu ? lock : undefined, red },
    'imagen.plans': JSON.stringify(plans),
    'imagen.tile_sizes': tileSizes && JSON.stringify(tileSizes),
    'imagen.margin': margin,
    'imagen.border': border,
    'imagen.max_whole_pixels': maxWholePixels,
    'imagen.fit_size': side && `${side}x${side}`,
    'imagen.parameters': failsOnDemand && JSON.stringify(FAILS_ON_DEMAND),
  };
}

function config(model: StandIn, lock: string): string {
  const { name, batching = true, side = -1, instances = 1, policies, queueSize } = model;
  const pixels = `name: "image" data_type: TYPE_UINT8 dims: [ ${side}, ${side}, 3 ]`;
  const queue = queueSize === undefined ? '' : `default_queue_policy { max_queue_size: ${queueSize} }`;
  const parameters = Object.entries(parametersOf(model, lock)).filter(([, value]) => value !== undefined);
  return [
    ...[`name: "${name}"`, 'backend: "python"', `max_batch_size: ${MAX_BATCH}`],
    ...[`input [ { ${pixels} } ]`, `output [ { ${pixels} } ]`],
    `instance_group [ { count: ${instances} kind: KIND_CPU } ]`,
    'version_policy { all {} }',
    ...(batching ? [`dynamic_batching { max_queue_delay_microseconds: 20000 ${policies ? POLICIES : queue} }`] : []),
    ...parameters.map(
      ([key, value]) => `parameters { key: "${key}" value { string_value: ${JSON.stringify(String(value))} } }`,
    ),
    '',
  ].join('\n');
}

/** When the models of one stand-in for a GPU computed. */
export interface Execution {
  readonly model: string;
  /** In seconds of a monotonic clock. */
  readonly begun: number;
  readonly ended: number;
}

/** @param folder of {@link makeModels} */
export async function executions(folder: string): Promise<Execution[]> {
  const text = await readFile(`${lockOf(folder)}.log`, 'utf8');
  const lines = text.split('\n').filter((line) => line !== '');
  return lines.map((line) => {
    const [model = '', begun, ended] = line.split(' ');
    return { model, begun: Number(begun), ended: Number(ended) };
  });
}

const lockOf = (folder: string) => join(folder, '../gpu.lock');

export async function makeModels(folder: string, models: readonly StandIn[]): Promise<void> {
  for (const model of models) {
    for (let version = 1; version <= (model.versions ?? 1); version++) {
      const place = join(folder, model.name, String(version));
      await mkdir(place, { recursive: true });
      await writeFile(join(place, 'model.py'), MODEL);
    }
    await writeFile(join(folder, model.name, 'config.pbtxt'), config(model, lockOf(folder)));
  }
}
