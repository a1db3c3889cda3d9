/**
 * Works on several values at the same time, and gives the results in the order of the values.
 * @param atOnce works in flight
 * @throws what the source or a work throws, in its turn
 */
export async function* mapInOrder<T, R>(
  source: AsyncIterable<T> | Iterable<T>,
  atOnce: number,
  work: (value: T) => Promise<R>,
): AsyncGenerator<R, void, void> {
  const begun: Promise<R>[] = [];
  try {
    for await (const value of source) {
      const result = work(value);
      result.catch(() => undefined); // it is thrown in its turn
      begun.push(result);
      if (begun.length >= atOnce) yield await first(begun);
    }
    while (begun.length > 0) yield await first(begun);
  } finally {
    await Promise.allSettled(begun);
  }
}

function first<R>(begun: Promise<R>[]): Promise<R> {
  const [one] = begun.splice(0, 1) as [Promise<R>];
  return one;
}
