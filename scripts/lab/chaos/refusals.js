/**
 * Loaded into a worker: while the file REFUSALS exists, the completions topic refuses, which the emulator cannot do.
 * Each refusal leaves a byte in `<REFUSALS>.seen`.
 */
import { appendFileSync, existsSync } from 'node:fs';
import process from 'node:process';
import { Topic } from '@google-cloud/pubsub';

const PERMISSION_DENIED = 7;
const { REFUSALS: file = '', IMAGEN_COMPLETIONS_TOPIC: refused = '' } = process.env;
const publish = Topic.prototype.publishMessage;

Topic.prototype.publishMessage = function (...message) {
  if (!this.name.endsWith(`/${refused}`) || !existsSync(file)) return publish.apply(this, message);
  appendFileSync(`${file}.seen`, '.');
  return Promise.reject(
    Object.assign(new Error('7 PERMISSION_DENIED: refused on purpose'), { code: PERMISSION_DENIED }),
  );
};
