/** GPUs that share all the jobs at them evenly, and remember what each has still to do. */

export interface Work {
  /** In jobs: 1 is the mean one. */
  readonly size: number;
  aborted: boolean;
}

interface Entry<W> {
  readonly work: W;
  /** Of the common clock of progress, at which this one is done. */
  readonly doneAt: number;
}

export class Gpu<W extends Work> {
  /** A heap by `doneAt`. */
  readonly #heap: Entry<W>[] = [];
  /** What each job that was there from the beginning would have got by now, in jobs. */
  #progress = 0;
  jobs = 0;

  add(work: W): void {
    this.jobs++;
    this.#push({ work, doneAt: this.#progress + work.size });
  }

  /** Of a job that was given back before it was done. */
  abort(work: W): void {
    work.aborted = true;
    this.jobs--;
  }

  /**
   * @param rate jobs a second, of all together, by how many there are
   * @returns those that are done, with how long before the end of these seconds
   */
  run(seconds: number, rate: (jobs: number) => number, done: (work: W, before: number) => void): void {
    let left = seconds;
    while (this.jobs > 0) {
      const each = rate(this.jobs) / this.jobs;
      if (each <= 0) return;
      const next = this.#first();
      if (!next) return;
      const needed = Math.max(0, next.doneAt - this.#progress) / each;
      if (needed > left) {
        this.#progress += each * left;
        return;
      }
      left -= needed;
      this.#progress = Math.max(this.#progress, next.doneAt);
      this.#pop();
      this.jobs--;
      done(next.work, left);
    }
  }

  #first(): Entry<W> | undefined {
    while (this.#heap[0]?.work.aborted) this.#pop();
    return this.#heap[0];
  }

  #push(entry: Entry<W>): void {
    const heap = this.#heap;
    let at = heap.push(entry) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const above = heap[parent];
      if (!above || above.doneAt <= entry.doneAt) break;
      heap[at] = above;
      at = parent;
    }
    heap[at] = entry;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (!last || heap.length === 0) return;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      const [left, right] = [heap[child], heap[child + 1]];
      if (!left) break;
      if (right && right.doneAt < left.doneAt) child++;
      const smaller = heap[child];
      if (!smaller || smaller.doneAt >= last.doneAt) break;
      heap[at] = smaller;
      at = child;
    }
    heap[at] = last;
  }
}
