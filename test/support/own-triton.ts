import { cp, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { endModelProcesses, modelProcesses } from '../../scripts/dev/parts/triton.js';
import { LOCAL_ADMIN_KEY } from '../../scripts/dev/stack/env.js';
import { localDir, root } from '../../scripts/dev/stack/paths.js';
import type { Ports } from '../../scripts/dev/stack/ports.js';
import { inspect, signal } from '../../scripts/dev/stack/processes.js';
import { readState } from '../../scripts/dev/stack/state.js';
import { upStack, type Stack } from '../../scripts/dev/stack/up.js';
import { until } from '../../scripts/dev/until.js';
import { metricIn } from '../../scripts/dev/workers.js';

/** A Triton with a repository of its own, for tests that unload its models, change them, stop it or kill it. */
export class OwnTriton {
  /** The test models, copied: to be changed at will. */
  readonly models: string;
  readonly #dir: string;
  readonly #stacks: Stack[] = [];
  #ports: Ports | undefined;

  readonly #env: Readonly<Record<string, string>>;

  /** @param env variables of the server's entry point */
  constructor(name: string, env: Readonly<Record<string, string>> = {}) {
    this.#env = env;
    this.#dir = join(localDir, `test-${name}-${process.pid}`);
    this.models = join(this.#dir, 'models');
  }

  get url(): string {
    return `127.0.0.1:${this.#known.tritonGrpc}`;
  }

  get metricsPort(): number {
    return this.#known.tritonMetrics;
  }

  /**
   * On the same ports each time.
   * @param without a model that it is not to know of
   */
  async start({ without }: { without?: string } = {}): Promise<void> {
    if (this.#ports) await endModelProcesses(this.#dir);
    else await cp(join(root, 'test/fixtures/models'), this.models, { recursive: true });
    const stack = await upStack({
      dir: this.#dir,
      ports: this.#ports ?? 'free',
      parts: ['triton'],
      tritonEnv: this.#env,
      models: ['style_aged'], // the lightest: at least one of ours must be there
      modelRepositories: [{ folder: this.models, leaveOut: ['broken', ...(without === undefined ? [] : [without])] }],
    });
    this.#ports = stack.ports;
    this.#stacks.push(stack);
  }

  /** Kills it, and starts another. */
  async restart(options: { without?: string } = {}): Promise<void> {
    const pid = this.#pid;
    this.kill();
    await until(() => !inspect(pid), { everyMs: 10 });
    await this.start(options);
  }

  /** Starts it again if it has died. */
  async revive(): Promise<void> {
    if (readState(this.#dir)?.parts.triton === undefined) await this.start();
  }

  kill(): void {
    process.kill(this.#pid, 'SIGKILL');
  }

  /** Kills the process in which a model of the Python backend runs, as the system does when memory is short. */
  killModel(model: string): void {
    const processes = modelProcesses(this.#dir, model);
    if (processes.length === 0) throw new Error(`model ${model} has no process`);
    for (const one of processes) signal(one, 'SIGKILL');
  }

  /** Whether a model of the Python backend has a process. */
  hasProcess(model: string): boolean {
    return modelProcesses(this.#dir, model).length > 0;
  }

  /** How many requests of a model wait for others to end. */
  async pending(model: string): Promise<number> {
    const text = await (await fetch(`http://127.0.0.1:${this.metricsPort}/metrics`)).text();
    return metricIn(text, 'nv_inference_pending_request_count', { model });
  }

  /** Makes it a server that accepts and never answers. Its threads stop one after another: settles when all have. */
  async hang(): Promise<void> {
    process.kill(this.#pid, 'SIGSTOP');
    const isStopped = async () => (await threadStates(this.#pid)).every((state) => state === 'T');
    await until(isStopped, { everyMs: 5 });
  }

  /** After `hang`. */
  goOn(): void {
    process.kill(this.#pid, 'SIGCONT');
  }

  /** Loads a model, or loads it again after a change; a model that cannot be loaded is an answer, too. */
  load(model: string): Promise<boolean> {
    return this.#control(model, 'load');
  }

  unload(model: string): Promise<boolean> {
    return this.#control(model, 'unload');
  }

  /** Gives a model a new process: to load one that is ready does nothing. */
  async reload(model: string): Promise<void> {
    await this.unload(model);
    if (!(await this.load(model))) throw new Error(`model ${model} cannot be loaded`);
  }

  async down(): Promise<void> {
    // Those of a server that was killed do not end when they are asked to.
    if (readState(this.#dir)?.parts.triton === undefined) await endModelProcesses(this.#dir);
    for (const stack of this.#stacks) await stack.down();
    await rm(this.#dir, { recursive: true, force: true });
  }

  async #control(model: string, verb: 'load' | 'unload'): Promise<boolean> {
    const url = `http://127.0.0.1:${this.#known.tritonHttp}/v2/repository/models/${model}/${verb}`;
    return (await fetch(url, { method: 'POST', headers: { 'imagen-admin': LOCAL_ADMIN_KEY } })).ok;
  }

  get #pid(): number {
    const pid = readState(this.#dir)?.parts.triton?.pid;
    if (pid === undefined) throw new Error('not running');
    return pid;
  }

  get #known(): Ports {
    if (!this.#ports) throw new Error('start it first');
    return this.#ports;
  }
}

/** The letters of proc(5) for what each thread of a process does: T where it has been stopped, X where it has ended. */
async function threadStates(pid: number): Promise<string[]> {
  const tasks = await readdir(`/proc/${pid}/task`);
  const states = tasks.map(async (id) => {
    const stat = await readFile(`/proc/${pid}/task/${id}/stat`, 'utf8').catch(() => ') X');
    return stat.charAt(stat.lastIndexOf(')') + 2); // after the name, which may hold anything
  });
  return Promise.all(states);
}
