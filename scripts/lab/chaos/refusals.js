/**
 * Loaded into a worker: while the file REFUSALS exists, the completions topic refuses, which the emulator cannot do.
 * Each refusal leaves a byte in `<REFUSALS>.seen`.
 */
import { appendFileSync, existsSync } from 'node:fs';
import process from 'node:process';
import { Client } from '@grpc/grpc-js';

const PERMISSION_DENIED = 7;
const { REFUSALS: file = '', IMAGEN_COMPLETIONS_TOPIC: refused = '' } = process.env;
const call = Client.prototype.makeUnaryRequest;

Client.prototype.makeUnaryRequest = function (path, serialize, deserialize, request, ...rest) {
  const isRefused = path.endsWith('/Publish') && request.topic.endsWith(`/${refused}`) && existsSync(file);
  if (!isRefused) return call.call(this, path, serialize, deserialize, request, ...rest);
  appendFileSync(`${file}.seen`, '.');
  const error = Object.assign(new Error('7 PERMISSION_DENIED: refused on purpose'), { code: PERMISSION_DENIED });
  process.nextTick(rest.at(-1), error);
  return undefined;
};
