import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { z } from 'zod';
import { STAGES } from '../../../../src/domain/errors.js';
import type { StepDone } from '../../../../src/pipeline/steps.js';

const stepSchema = z.object({
  jobId: z.string().max(256),
  attempt: z.int().nonnegative(),
  step: z.enum([...STAGES, 'publish']),
});

/** Listens on a UDP port of this machine. @returns what ends it */
export async function hearSteps(port: number, onStep: (step: StepDone) => void): Promise<() => void> {
  const socket = createSocket('udp4');
  socket.on('message', (data) => {
    const step = readStep(data);
    if (step) onStep(step);
  });
  socket.bind(port, '127.0.0.1');
  await once(socket, 'listening');
  return () => socket.close();
}

function readStep(data: Buffer): StepDone | undefined {
  try {
    return stepSchema.parse(JSON.parse(data.toString('utf8')));
  } catch {
    return undefined; // anybody on this machine may send anything
  }
}
