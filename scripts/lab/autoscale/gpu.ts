/** GPUs that share all the jobs at them evenly, and remember what each has still to do. */

export interface Work {
  readonly size: number;
  aborted: boolean;
}

export class Gpu<W extends Work> {
  /** Each with the progress at which it is done; in that order, the first one last: there it is cheap to take away. */
  readonly #entries: { readonly work: W; readonly doneAt: number }[] = [];
  /** What each job that was there from the beginning would have got by now, in jobs. */
  #progress = 0;
  jobs = 0;

  add(work: W): void {
    this.jobs++;
    const entry = { work, doneAt: this.#progress + work.size };
    let [from, to] = [0, this.#entries.length];
    while (from < to) {
      const middle = (from + to) >> 1;
      if ((this.#entries[middle]?.doneAt ?? 0) > entry.doneAt) from = middle + 1;
      else to = middle;
    }
    this.#entries.splice(from, 0, entry);
  }

  /** Of a job that was given back before it was done. */
  abort(work: W): void {
    work.aborted = true;
    this.jobs--;
  }

  /** @param rate jobs a second of all together. @param done hears how long before the end of the time a job was done */
  run(seconds: number, rate: (jobs: number) => number, done: (work: W, before: number) => void): void {
    for (let left = seconds; this.jobs > 0;) {
      const each = rate(this.jobs) / this.jobs;
      while (this.#entries.at(-1)?.work.aborted) this.#entries.pop();
      const next = this.#entries.at(-1);
      if (each <= 0 || !next) return;
      const needed = Math.max(0, next.doneAt - this.#progress) / each;
      if (needed > left) {
        this.#progress += each * left;
        return;
      }
      left -= needed;
      this.#progress = Math.max(this.#progress, next.doneAt);
      this.#entries.pop();
      this.jobs--;
      done(next.work, left);
    }
  }
}
