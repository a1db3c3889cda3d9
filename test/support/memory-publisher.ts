import { NotPublishable, type Publisher } from '../../src/domain/ports.js';

export interface MemoryMessage {
  readonly data: Buffer;
  readonly attributes: Readonly<Record<string, string>>;
  readonly orderingKey?: string;
}

/**
 * A topic in memory, for what a real one cannot be made to do at will: to refuse. It keeps the contract of
 * contracts/publisher.ts.
 * @param onAccepted is told of each message that is accepted
 */
export function memoryPublisher(onAccepted: (message: MemoryMessage) => void = () => undefined) {
  const accepted: MemoryMessage[] = [];
  let attempts = 0;
  let refusing: ((text: string) => Error | undefined) | undefined;
  const accept = (data: Buffer, attributes: Readonly<Record<string, string>>, orderingKey = ''): void => {
    attempts++;
    const refusal = refusing?.(data.toString());
    if (refusal) throw refusal;
    if (data.length === 0 && Object.keys(attributes).length === 0)
      throw new NotPublishable('neither data nor attributes');
    const plain = { data: Buffer.from(data), attributes: { ...attributes } };
    const message = orderingKey === '' ? plain : { ...plain, orderingKey };
    accepted.push(message);
    onAccepted(message);
  };
  const publisher: Publisher = {
    publish: (...message) =>
      new Promise((resolve) => {
        accept(...message);
        resolve();
      }),
  };
  return {
    /** What was accepted, in its order. */
    ...{ publisher, accepted },
    /** How often it was asked to publish. */
    attempts: () => attempts,
    /** @param why gives the error of a message that is refused; undefined if none is */
    refuse: (why: typeof refusing) => (refusing = why),
  };
}
