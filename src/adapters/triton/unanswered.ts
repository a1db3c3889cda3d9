/**
 * Recognises requests that were sent and got no answer. Such a request may have hung its model or ended its server, or it
 * only shared the fate of another one.
 */
import { status } from '@grpc/grpc-js';
import type { Unanswered } from '../../domain/errors.js';
import type { Channel } from './channel.js';
import { isCallFailure } from './errors.js';

/**
 * A connection that ended under a request, in the words of grpc-js (subchannel-call.js), of our stream, and of Envoy. A
 * connection that was never made says `No connection established`.
 */
const LOST =
  /^(?:the stream ended: [A-Z_]+: )?(?:Connection dropped|Received RST_STREAM|read E|No status information received)|reset reason: (?:connection termination|remote reset)/;

export interface SentRequest {
  /** The replica that the request was sent to; undefined if it was not sent. */
  readonly replica: string | undefined;
  /** By `performance.now()`. */
  readonly sentAt: number;
  readonly signal: AbortSignal;
}

/** Time limit to find out whether the server answers at all, in milliseconds. An inference may end that much later. */
const ASK_MS = 500;

/** @returns how the request ended without an answer; undefined if it was answered, or if the server answers nobody */
export async function unansweredBy(
  channel: Channel,
  thrown: unknown,
  { replica, sentAt, signal }: SentRequest,
): Promise<Unanswered | undefined> {
  if (signal.aborted || !isCallFailure(thrown)) return undefined;
  if (LOST.test(thrown.details)) return 'lost';
  if (thrown.code !== status.DEADLINE_EXCEEDED || replica === undefined) return undefined;
  if (!channel.heardSince(replica, sentAt)) {
    await channel.call('ServerReady', {}, { signal, deadlineMs: ASK_MS }).catch(() => undefined);
  }
  return channel.heardSince(replica, sentAt) ? 'late' : undefined;
}
