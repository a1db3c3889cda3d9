/** One run: jobs arrive, workers pull them, GPUs compute, autoscalers look and decide; a second at a time. */
import { seeded } from '../random.js';
import { CLOUD_MONITORING, Delayed } from './delayed.js';
import { Gpu, type Work } from './gpu.js';
import { Hpa, type HpaSpec, type Metric, SYNC_SECONDS } from './hpa.js';
import { type Limits, METRICS, type Plant } from './plant.js';
import { type Pod, Pods } from './pods.js';

export interface Scaling {
  /** Of the worker's Deployment: with GPUs as sidecars, that of both. */
  readonly workers: HpaSpec;
  readonly gpus: HpaSpec;
  /** KEDA instead: it leaves the rest to an HPA, but takes away the last worker when nothing was to do for so long. */
  readonly toZeroAfterSeconds?: number;
}

/** How often KEDA looks whether there is anything to do, `pollingInterval`. */
const KEDA_POLLING_SECONDS = 30;

interface Job extends Work {
  readonly publishedAt: number;
  worker: Worker | undefined;
  done: boolean;
}

class Worker implements Pod {
  drainingSince?: number;
  readonly jobs = new Set<Job>();
  readonly onCpu: { readonly job: Job; readonly at: number }[] = [];
  cpuFreeAt = 0;
  /** Of the core, lately: what the metrics server would say. */
  busy = 0;
  atGpu = 0;

  /** @param gpu in its own pod, where GPUs are sidecars */
  constructor(
    readonly readyAt: number,
    readonly gpu: Gpu<Job> | undefined,
  ) {}
}

interface Paid {
  /** In hours of a GPU node. */
  readonly cost: number;
  readonly podSeconds: { readonly workers: number; readonly gpus: number };
}

export interface Moment {
  readonly at: number;
  readonly backlog: number;
  readonly workers: number;
  readonly gpus: number;
}

/** How many workers were ready when the sample was taken. */
const REPORTING = 'reporting';
const STEP = 1;
/** Over which the metrics server takes the mean of a container's use of its processor. */
const CPU_WINDOW_SECONDS = 30;
const TRACE_SECONDS = 60;
/** After the last arrival, for what is left to be done; whatever is not done then counts with its age. */
const TAIL_SECONDS = 4 * 3600;

/** @param arrivals seconds, ascending. @param seconds are paid for; the backlog is worked off afterwards */
export const simulate = (plant: Plant, scaling: Scaling, arrivals: readonly number[], seconds: number, seed: number) =>
  new World(plant, scaling, seed).run(arrivals, seconds);

/** Delays are drawn apart from all else, so that another run of the same day sees its metrics as late. */
export const metricsSeeds = (seed: number) => ({ pubsub: 7_919 * seed + 1, prometheus: 104_729 * seed + 2 });

class World {
  readonly #random: () => number;
  readonly #workers: Pods<Worker>;
  readonly #gpuPods: Pods<Pod> | undefined;
  readonly #gpu: Gpu<Job> | undefined;
  readonly #pubsub: Delayed;
  readonly #prometheus: Delayed;
  readonly #scalers: { readonly hpa: Hpa; readonly pods: Pods<Pod> }[] = [];

  /** All jobs in the order of publishing; those before `#oldest` are done. */
  readonly #jobs: Job[] = [];
  #oldest = 0;
  #queue: Job[] = [];
  #head = 0;
  #unacked = 0;
  /** Seconds that each job took longer than it would have taken alone, in the order of completion. */
  readonly #waited: number[] = [];
  /** Jobs that a worker gave back because its time to drain was over: done again by another, so paid twice. */
  #killed = 0;
  readonly #load: number[] = [];
  #now = 0;
  readonly #alone: number;
  readonly #toZeroAfterSeconds: number | undefined;
  #lastBusy = 0;

  constructor(
    private readonly plant: Plant,
    scaling: Scaling,
    seed: number,
  ) {
    this.#random = seeded(seed);
    const seeds = metricsSeeds(seed);
    this.#pubsub = new Delayed(CLOUD_MONITORING, seeded(seeds.pubsub));
    this.#prometheus = new Delayed(plant.prometheus, seeded(seeds.prometheus));
    const sidecar = plant.topology === 'sidecar';
    this.#gpu = sidecar ? undefined : new Gpu<Job>();
    const make = (readyAt: number) => new Worker(readyAt, sidecar ? new Gpu<Job>() : undefined);
    this.#workers = new Pods(sidecar ? plant.gpu : plant.worker, make);
    const limits = sidecar ? plant.gpus : plant.workers;
    this.#workers.begin(limits.min);
    this.#scale(scaling.workers, limits, this.#workers);
    this.#toZeroAfterSeconds = scaling.toZeroAfterSeconds;
    if (!sidecar) {
      this.#gpuPods = new Pods<Pod>(plant.gpu, (readyAt) => ({ readyAt }));
      this.#gpuPods.begin(plant.gpus.min);
      if (plant.topology === 'shared') this.#scale(scaling.gpus, plant.gpus, this.#gpuPods);
    }
    this.#alone = plant.workerCpuSeconds + 1 / this.#rate(1, 1, 1);
  }

  run(arrivals: readonly number[], seconds: number) {
    const trace: Moment[] = [];
    let next = 0;
    let paid: Paid | undefined;
    for (; this.#now < seconds || (this.#unacked > 0 && this.#now < seconds + TAIL_SECONDS);) {
      const until = this.#now + STEP;
      for (let at = arrivals[next]; at !== undefined && at < until; at = arrivals[++next]) this.#publish(at);
      this.#dispatch();
      this.#compute();
      this.#now = until;
      this.#endDrained();
      this.#look();
      if (this.#now % SYNC_SECONDS === 0) this.#decide();
      if (this.#toZeroAfterSeconds !== undefined && this.#now % KEDA_POLLING_SECONDS === 0) {
        this.#decideOnTheLast(this.#toZeroAfterSeconds);
      }
      for (const pods of [this.#workers, this.#gpuPods]) pods?.pass(this.#now, STEP);
      if (this.#now % TRACE_SECONDS === 0 && this.#now <= seconds) trace.push(this.#moment());
      if (this.#now === seconds) paid = this.#paid();
    }
    for (const job of this.#jobs) if (!job.done) this.#waited.push(this.#now - job.publishedAt);
    return { waited: this.#waited, killed: this.#killed, ...(paid ?? this.#paid()), trace };
  }

  #scale(spec: HpaSpec, limits: Limits, pods: Pods<Pod>): void {
    const limited = { ...spec, minReplicas: limits.min, maxReplicas: limits.max };
    this.#scalers.push({ hpa: new Hpa(limited), pods });
  }

  #publish(at: number): void {
    const { sizeSigma: sigma } = this.plant;
    const normal = Math.sqrt(-2 * Math.log(1 - this.#random())) * Math.cos(2 * Math.PI * this.#random());
    const size = Math.exp(sigma * normal - sigma ** 2 / 2);
    const job: Job = { publishedAt: at, size, aborted: false, worker: undefined, done: false };
    this.#jobs.push(job);
    this.#queue.push(job);
    this.#unacked++;
  }

  #dispatch(): void {
    if (this.#head >= this.#queue.length) return;
    const free = this.#workers.ready(this.#now).filter(({ jobs }) => jobs.size < this.plant.maxJobs);
    while (free.length > 0) {
      const job = this.#queue[this.#head];
      if (!job) break;
      this.#head++;
      const worker = free.reduce((a, b) => (b.jobs.size < a.jobs.size ? b : a));
      this.#begin(worker, job);
      if (worker.jobs.size >= this.plant.maxJobs) free.splice(free.indexOf(worker), 1);
    }
    if (this.#head > 10_000) {
      this.#queue = this.#queue.slice(this.#head);
      this.#head = 0;
    }
  }

  #begin(worker: Worker, job: Job): void {
    worker.jobs.add(job);
    job.worker = worker;
    job.aborted = false;
    worker.cpuFreeAt = Math.max(this.#now, worker.cpuFreeAt) + this.plant.workerCpuSeconds * job.size;
    worker.onCpu.push({ job, at: worker.cpuFreeAt });
  }

  #compute(): void {
    const until = this.#now + STEP;
    const everybody = [...this.#workers.active, ...this.#workers.draining];
    for (const worker of everybody) {
      const busy = Math.min(STEP, Math.max(0, worker.cpuFreeAt - this.#now)) / STEP;
      worker.busy += (busy - worker.busy) * (STEP / CPU_WINDOW_SECONDS);
      for (let next = worker.onCpu[0]; next && next.at < until; next = worker.onCpu[0]) {
        worker.onCpu.shift();
        worker.atGpu++;
        (worker.gpu ?? this.#gpu)?.add(next.job);
      }
    }
    const done = (job: Job, before: number) => this.#finish(job, until - before);
    const most = this.#requests(everybody);
    this.#load[(this.#now / STEP) % (this.plant.loadSeconds / STEP)] = most;
    if (this.#gpu) {
      const replicas = this.#gpuPods?.ready(this.#now).length ?? 0;
      const shares = most / this.plant.requestsPerWorker;
      this.#gpu.run(STEP, (jobs) => this.#rate(jobs, replicas, shares), done, this.#places(replicas));
    } else {
      for (const { gpu } of everybody) gpu?.run(STEP, (jobs) => this.#rate(jobs, 1, 1), done, this.#places(1));
    }
  }

  #places(replicas: number): number {
    const { inOrder, batch, requestsPerJob } = this.plant;
    return inOrder ? Math.floor((replicas * batch) / requestsPerJob) : Infinity;
  }

  #requests(workers: readonly Worker[]): number {
    const { requestsPerJob, requestsPerWorker } = this.plant;
    return workers.reduce((sum, { atGpu }) => sum + Math.min(requestsPerWorker, atGpu * requestsPerJob), 0);
  }

  /**
   * Jobs a second. An execution takes as long with few requests as with many: a batch half full is half the rate.
   * @param shares how many workers' requests there may be in flight
   */
  #rate(jobs: number, replicas: number, shares: number): number {
    const { requestsPerJob, requestsPerWorker, batch, gpuJobsPerSecond } = this.plant;
    const requests = Math.min(jobs * requestsPerJob, shares * requestsPerWorker);
    return gpuJobsPerSecond * Math.min(replicas, requests / batch);
  }

  #finish(job: Job, at: number): void {
    const worker = job.worker;
    if (!worker) return;
    worker.jobs.delete(job);
    worker.atGpu--;
    job.done = true;
    this.#unacked--;
    this.#waited.push(Math.max(0, at - job.publishedAt - this.#alone * job.size));
  }

  /** A worker that drains goes with its last job, or gives back what it has when its time is over. */
  #endDrained(): void {
    for (const worker of this.#workers.draining) {
      const over = this.#now - (worker.drainingSince ?? this.#now) >= this.plant.drainSeconds;
      if (worker.jobs.size > 0 && !over) continue;
      const atGpu = new Set(worker.jobs);
      for (const { job } of worker.onCpu) atGpu.delete(job);
      for (const job of atGpu) (worker.gpu ?? this.#gpu)?.abort(job);
      for (const job of worker.jobs) this.#giveBack(job);
      this.#workers.draining.delete(worker);
    }
    // Of Triton's pods nothing is lost: what they compute is answered, or asked for again elsewhere (docs/failures.md).
    this.#gpuPods?.draining.clear();
  }

  #giveBack(job: Job): void {
    this.#killed++;
    // A new object: the heap of the GPU may still hold the aborted one.
    const again: Job = { ...job, aborted: false, worker: undefined };
    this.#jobs[this.#jobs.indexOf(job)] = again;
    this.#queue.push(again);
  }

  #look(): void {
    this.#pubsub.look(this.#now, () => {
      while (this.#jobs[this.#oldest]?.done) this.#oldest++;
      const oldest = this.#jobs[this.#oldest];
      return new Map([
        [METRICS.backlog, this.#unacked],
        [METRICS.age, oldest ? this.#now - oldest.publishedAt : 0],
      ]);
    });
    this.#prometheus.look(this.#now, () => {
      const workers = this.#workers.ready(this.#now);
      const replicas = this.#gpuPods?.ready(this.#now).length ?? workers.length;
      const requests = this.#requests([...this.#workers.active, ...this.#workers.draining]);
      return new Map([
        [REPORTING, workers.length],
        [METRICS.cpu, workers.reduce((sum, { busy }) => sum + busy, 0)],
        [METRICS.active, workers.reduce((sum, { jobs }) => sum + jobs.size, 0)],
        [METRICS.load, this.#load.reduce((sum, value) => sum + value, 0) / Math.max(1, this.#load.length)],
        [METRICS.pending, Math.max(0, requests - replicas * this.plant.batch)],
      ]);
    });
  }

  #decide(): void {
    const read = ({ name }: Metric) => {
      const value = this.#pubsub.read(this.#now, name) ?? this.#prometheus.read(this.#now, name);
      const pods = this.#prometheus.read(this.#now, REPORTING) ?? 0;
      return value === undefined ? undefined : { value, pods };
    };
    for (const { hpa, pods } of this.#scalers) {
      const replicas = pods.active.length;
      if (replicas === 0) continue; // KEDA's to wake up
      const sight = { replicas, ready: pods.ready(this.#now).length, read };
      pods.scale(this.#now, hpa.decide(this.#now, sight));
    }
  }

  #decideOnTheLast(after: number): void {
    const busy = (this.#pubsub.read(this.#now, METRICS.backlog) ?? 0) > 0;
    if (busy) this.#lastBusy = this.#now;
    const { length: replicas } = this.#workers.active;
    if (busy && replicas === 0) this.#workers.scale(this.#now, 1);
    else if (replicas === 1 && this.#now - this.#lastBusy >= after) this.#workers.scale(this.#now, 0);
  }

  #moment(): Moment {
    const gpus = (this.#gpuPods ?? this.#workers).active.length;
    return { at: this.#now, backlog: this.#unacked, workers: this.#workers.active.length, gpus };
  }

  #paid(): Paid {
    const [workers, gpus] = [this.#workers, this.#gpuPods];
    return {
      cost: workers.cost + (gpus?.cost ?? 0),
      podSeconds: { workers: workers.podSeconds, gpus: gpus?.podSeconds ?? 0 },
    };
  }
}
