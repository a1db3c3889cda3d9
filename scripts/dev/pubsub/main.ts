/** The embedded Pub/Sub as a process: `main.ts <port>`. It forgets everything when it ends. */
import { startServer } from './server.js';

const { address } = await startServer(Number(process.argv[2]));
console.log(`Pub/Sub on ${address}`);
