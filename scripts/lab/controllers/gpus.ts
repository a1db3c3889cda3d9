/** Triton's pods: each that is ready gives eight places to a model that sleeps, in the one Triton of this run. */
import { mkdir, open, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from '../../dev/run.js';
import type { Plant } from '../autoscale/plant.js';
import { toMs } from './clock.js';
import type { Workload } from './kubelet.js';

export const MODEL = 'sleeper';

/**
 * What the simulator assumes of a GPU: a place serves one request at a time, in the time of an execution. The places are
 * bytes in a pipe, so that they can be more and fewer while the model is in use.
 */
const SOURCE = `
import os
import threading
import time

import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def initialize(self, args):
        import json

        parameters = json.loads(args["model_config"])["parameters"]
        self.seconds = float(parameters["seconds"]["string_value"])
        self.places = os.open(parameters["places"]["string_value"], os.O_RDWR)

    def execute(self, requests):
        for request in requests:
            image = pb_utils.get_input_tensor_by_name(request, "image").as_numpy().copy()
            sender = request.get_response_sender()
            threading.Thread(target=self.answer, args=(sender, image), daemon=True).start()

    def answer(self, sender, image):
        place = os.read(self.places, 1)
        time.sleep(self.seconds)
        os.write(self.places, place)
        response = pb_utils.InferenceResponse([pb_utils.Tensor("image", image)])
        sender.send(response, flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
`;

const CONFIG = (pipe: string, seconds: number, batch: number) => `
name: "${MODEL}" backend: "python" max_batch_size: ${batch}
input [ { name: "image" data_type: TYPE_UINT8 dims: [ -1, -1, 3 ] } ]
output [ { name: "image" data_type: TYPE_UINT8 dims: [ -1, -1, 3 ] } ]
instance_group [ { count: 1 kind: KIND_CPU } ]
parameters { key: "seconds" value { string_value: "${seconds}" } }
parameters { key: "places" value { string_value: "${pipe}" } }
parameters { key: "imagen.plans" value { string_value: "[\\"whole\\"]" } }
`;

const pipeOf = (repository: string) => join(repository, '../places');

/** Writes the model into a repository. It has no place before the first GPU is ready. */
export const makeSleeper =
  ({ batch, gpuJobsPerSecond }: Plant) =>
  async (repository: string): Promise<void> => {
    const version = join(repository, MODEL, '1');
    await mkdir(version, { recursive: true });
    await run('mkfifo', [pipeOf(repository)]);
    const seconds = toMs(batch / gpuJobsPerSecond) / 1000;
    await writeFile(join(version, '../config.pbtxt'), CONFIG(pipeOf(repository), seconds, batch));
    await writeFile(join(version, 'model.py'), SOURCE);
  };

export async function gpuPods(
  repository: string,
  { batch, gpu }: Plant,
): Promise<Workload & { close(): Promise<void> }> {
  const pipe = await open(pipeOf(repository), 'r+');
  const places = Buffer.alloc(batch);
  return {
    ...{ name: 'triton', machine: gpu },
    start() {
      let serves = false;
      return Promise.resolve({
        async serve() {
          serves = true;
          await pipe.write(places);
        },
        /** What a place computes is answered before the place is taken away. */
        async stop() {
          for (let left = serves ? batch : 0; left > 0;)
            left -= (await pipe.read(Buffer.alloc(left), 0, left)).bytesRead;
        },
      });
    },
    close: () => pipe.close(),
  };
}
