import { post } from './post.js';

const UNDER_WAY = new Set(['queued', 'running', 'canceling']);

export const isOver = ({ status }) => !UNDER_WAY.has(status);

/** @returns the error, if there is one; a job that has ended meanwhile is none */
export async function cancelJob(key) {
  const { error } = await post(`/jobs/${encodeURIComponent(key)}/cancel`);
  return error?.code === 'NOT_FOUND' ? undefined : error;
}
