/** GPUs that share the jobs that they serve evenly, and remember what each has still to do. */

export interface Work {
  readonly size: number;
  aborted: boolean;
}

export class Gpu<W extends Work> {
  /** Sorted by the progress at which each is done, the next one to end last, where it is cheap to remove. */
  readonly #entries: { readonly work: W; readonly doneAt: number }[] = [];
  /** Work that a job served from the start would have received by now, in jobs. */
  #progress = 0;
  readonly #waiting: W[] = [];
  #served = 0;
  /** Those that are served, and those that wait. */
  jobs = 0;

  add(work: W): void {
    this.jobs++;
    this.#waiting.push(work);
  }

  /** Lets those that wait begin, in their order. */
  #admit(places: number): void {
    while (this.#served < places) {
      const work = this.#waiting.shift();
      if (!work) return;
      if (!work.aborted) this.#begin(work);
    }
  }

  #begin(work: W): void {
    this.#served++;
    const entry = { work, doneAt: this.#progress + work.size };
    let [from, to] = [0, this.#entries.length];
    while (from < to) {
      const middle = (from + to) >> 1;
      if ((this.#entries[middle]?.doneAt ?? 0) > entry.doneAt) from = middle + 1;
      else to = middle;
    }
    this.#entries.splice(from, 0, entry);
  }

  /** Removes a job that was given back before it was done. */
  abort(work: W): void {
    work.aborted = true;
    this.jobs--;
    if (!this.#waiting.includes(work)) this.#served--;
  }

  /**
   * @param rate jobs a second of all that are served together
   * @param done called with each finished job, and how long before the end of `seconds` it finished
   * @param places how many jobs are served at a time; the others wait in their order
   */
  run(
    seconds: number,
    rate: (jobs: number) => number,
    done: (work: W, before: number) => void,
    places = Infinity,
  ): void {
    this.#admit(places);
    for (let left = seconds; this.#served > 0;) {
      const each = rate(this.#served) / this.#served;
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
      this.#served--;
      done(next.work, left);
      this.#admit(places);
    }
  }
}
