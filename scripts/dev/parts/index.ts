import { backlog } from './backlog.js';
import { gcs } from './gcs.js';
import type { Part } from './part.js';
import { prometheus } from './prometheus.js';
import { pubsub } from './pubsub.js';
import { triton } from './triton.js';

/** In the order in which they are shown; they start together. */
export const parts: readonly Part[] = [pubsub, gcs, triton, backlog, prometheus];
