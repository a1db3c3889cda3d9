/** What a script of checks counts and says: a line for each, and at last how many passed and failed. */
export class Suite {
  #passed = 0;
  #failed = 0;
  readonly #began = performance.now();

  say(text: string): void {
    console.log(`[${((performance.now() - this.#began) / 1000).toFixed(1)} s] ${text}`);
  }

  /** @param body throws where something is not as it should be; a text that it returns is told. @returns whether all is well */
  async check(name: string, body: () => unknown): Promise<boolean> {
    try {
      const said = await body();
      this.#passed++;
      this.say(`ok: ${name}${typeof said === 'string' ? `: ${said}` : ''}`);
      return true;
    } catch (error) {
      this.#fail(name, error);
      return false;
    }
  }

  async run(body: () => Promise<void>): Promise<void> {
    await body().catch((error: unknown) => this.#fail('the run', error));
    if (this.#failed > 0 || this.#passed === 0) process.exitCode ??= 1;
    console.log(`${this.#passed} passed, ${this.#failed} failed`);
  }

  #fail(name: string, error: unknown): void {
    this.#failed++;
    this.say(`FAILED: ${name}\n${error instanceof Error ? error.message : String(error)}`);
  }
}
