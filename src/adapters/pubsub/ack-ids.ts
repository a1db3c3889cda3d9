/** Below the service's limit of 512 KiB a request; an ack id has some 200 bytes. */
export const MOST_ACK_IDS = 1_000;

/** Divides ack ids into as many as one request may have. */
export function* inRequests(ackIds: readonly string[]): Generator<readonly string[], void, void> {
  for (let from = 0; from < ackIds.length; from += MOST_ACK_IDS) yield ackIds.slice(from, from + MOST_ACK_IDS);
}
