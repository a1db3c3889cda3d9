/**
 * The least that a Node worker can do and still lose nothing: Google's Pub/Sub client, HTTP with keep-alive, unary gRPC,
 * sharp; a record for each job, looked up before and created only once. No limits, no retries, no batching of its own.
 */
import { Buffer } from 'node:buffer';
import { randomUUID } from 'node:crypto';
import { Agent, request } from 'node:http';
import { join } from 'node:path';
import process from 'node:process';
import { PubSub } from '@google-cloud/pubsub';
import { credentials, loadPackageDefinition } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import sharp from 'sharp';

const AT_ONCE = 32;
const MOST_BYTES = 128 * 1024 * 1024;
const { env } = process;
const agent = new Agent({ keepAlive: true });
const proto = loadSync(join(import.meta.dirname, '../../../../proto/inference.proto'), { keepCase: true });
const { inference } = loadPackageDefinition(proto);
const triton = new inference.GRPCInferenceService(env.TRITON_URL, credentials.createInsecure(), {
  'grpc.max_receive_message_length': MOST_BYTES,
  'grpc.max_send_message_length': MOST_BYTES,
});
const pubsub = new PubSub({ projectId: env.GOOGLE_CLOUD_PROJECT });
const completions = pubsub.topic(env.IMAGEN_COMPLETIONS_TOPIC, { batching: { maxMilliseconds: 5 } });
const jobs = pubsub.subscription(env.SUBSCRIPTION, { flowControl: { maxMessages: AT_ONCE } });

sharp.cache(false);
sharp.concurrency(1);

function call(method, path, body, headers = {}) {
  return new Promise((resolve, reject) => {
    const sent = request(`${env.STORAGE_EMULATOR_HOST}${path}`, { agent, method, headers }, (response) => {
      const chunks = [];
      response.on('data', (chunk) => chunks.push(chunk));
      response.on('end', () => resolve({ status: response.statusCode, body: Buffer.concat(chunks) }));
      response.on('error', reject);
    });
    sent.on('error', reject);
    sent.end(body);
  });
}

function placeOf(uri) {
  const [, bucket, name] = /^gs:\/\/([^/]+)\/(.+)$/.exec(uri);
  return { bucket, name: encodeURIComponent(name) };
}

function read(uri) {
  const { bucket, name } = placeOf(uri);
  return call('GET', `/storage/v1/b/${bucket}/o/${name}?alt=media`);
}

async function create(uri, bytes, type) {
  const { bucket, name } = placeOf(uri);
  const path = `/upload/storage/v1/b/${bucket}/o?uploadType=media&ifGenerationMatch=0&name=${name}`;
  const { status } = await call('POST', path, bytes, { 'content-type': type, 'content-length': bytes.length });
  if (status !== 200 && status !== 412) throw new Error(`${uri}: ${status}`);
}

function infer(model, data, { height, width }) {
  const ask = {
    model_name: model,
    inputs: [{ name: 'image', datatype: 'UINT8', shape: [1, height, width, 3] }],
    raw_input_contents: [data],
  };
  return new Promise((resolve, reject) => {
    triton.ModelInfer(ask, (error, answer) => (error ? reject(error) : resolve(answer.raw_output_contents[0])));
  });
}

async function work(message) {
  const { jobId, operations, input } = JSON.parse(message.data);
  const record = `${env.IMAGEN_STATE_PREFIX}bare/${jobId}.json`;
  let { status, body } = await read(record);
  if (status === 404) {
    const file = await read(input.uri);
    const { data, info } = await sharp(file.body).removeAlpha().raw().toBuffer({ resolveWithObject: true });
    const { width, height } = info;
    const pixels = await infer(operations[0], data, info);
    const result = await sharp(pixels, { raw: { width, height, channels: 3 } })
      .jpeg({ quality: 85 })
      .toBuffer();
    await create(`${env.IMAGEN_OUTPUT_PREFIX}${jobId}.jpg`, result, 'image/jpeg');
    body = Buffer.from(JSON.stringify({ eventId: randomUUID(), jobId, status: 'succeeded' }));
    await create(record, body, 'application/json');
  }
  await completions.publishMessage({ data: body });
  message.ack();
}

jobs.on('message', (message) => void work(message));
process.stdout.write('ready\n');
