/**
 * What the client's functions throw. Every error has a `code`: those of a job (`JobError`), and the ones below, which
 * only a publisher meets.
 */

/**
 * - `INVALID_ARGUMENT`: an argument or an option of the call is wrong. Nothing was done.
 * - `INPUT_UNREADABLE`: the local file is missing, a folder, or cannot be read, or the stream has failed.
 * - `TOPIC_NOT_FOUND`: nobody has created the topic; `imagen setup` does.
 * - `PUBSUB_DENIED`: these credentials may not publish.
 * - `PUBSUB_UNAVAILABLE`: Pub/Sub did not accept the message in time.
 * - `NO_RESULT`: there is nothing to download, because the job did not succeed or its result was deleted.
 * - `CLOSED`: the client was closed.
 */
export type ClientErrorCode =
  | 'INVALID_ARGUMENT'
  | 'INPUT_UNREADABLE'
  | 'TOPIC_NOT_FOUND'
  | 'PUBSUB_DENIED'
  | 'PUBSUB_UNAVAILABLE'
  | 'NO_RESULT'
  | 'CLOSED';

export class ClientError extends Error {
  override readonly name = 'ClientError';
  constructor(
    readonly code: ClientErrorCode,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}
