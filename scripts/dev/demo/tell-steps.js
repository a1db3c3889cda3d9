/**
 * Loaded into a worker: sends each step of a job to the UDP port STEPS_PORT of this machine. Datagrams may get lost.
 */
import { createSocket } from 'node:dgram';
import { subscribe } from 'node:diagnostics_channel';
import process from 'node:process';

const port = Number(process.env.STEPS_PORT);
const socket = createSocket('udp4');
socket.unref();
socket.on('error', () => undefined);

subscribe('imagen:step', ({ jobId, attempt, step }) => {
  socket.send(JSON.stringify({ jobId, attempt, step }), port, '127.0.0.1', () => undefined);
});
