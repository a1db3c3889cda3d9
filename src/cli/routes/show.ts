import { Command } from 'commander';
import { readSettings } from '../../config/index.js';
import { readRoutes } from '../../config/routes.js';
import type { GuardLimits } from '../../domain/experiment.js';
import type { ModelServer } from '../../domain/ports.js';
import type { RoutesEntry } from '../../domain/routes.js';
import { print, printJson, say } from '../output.js';
import { reachTriton } from '../reach.js';
import { CommandFailed, type Invocation, withHelp } from '../usage.js';
import { withTriton } from '../with-triton.js';
import { openRoutes } from './open.js';
import { readStops, type Stopped } from './stopped.js';

/** Whether Triton serves a version; null if it was not asked or does not answer. */
type Served = boolean | null;
type Look = (model: string, version: string) => Served;

export function showCommand(invocation: Invocation): Command {
  const command = new Command('show')
    .description(
      'show the current routes, whether Triton serves the versions in them, and which arms a guard has stopped',
    )
    .option('--json', 'print one JSON document')
    .action(async ({ json }: { readonly json?: boolean }) => {
      const open = openRoutes(invocation.env);
      const { place } = open;
      const { document, generation } = await readRoutes(open.store, open.signal);
      const { models, change = null } = document;
      const served = await whatTritonServes(invocation.env);
      const stopped = await readStops(invocation.env, document, open.signal);
      const shown = Object.entries(models).map(
        ([model, entry]) => [model, describe(model, entry, served, stopped)] as const,
      );
      if (json) printJson({ place, generation, change, models: Object.fromEntries(shown) });
      else {
        print(`${place}, generation ${generation}`);
        if (change) print(`  by ${change.by} at ${change.at}${change.note === undefined ? '' : `: ${change.note}`}`);
        for (const [model, entry] of shown) for (const line of linesOf(model, entry)) print(line);
      }
    });
  return withHelp(command, ['routes show', 'routes show --json'], { 1: 'storage does not answer' });
}

function describe(model: string, entry: RoutesEntry, served: Look, stopped: Stopped) {
  const { default: version, experiment, shadow } = entry;
  const sum = experiment?.arms.reduce((total, { weight }) => total + weight, 0) ?? 0;
  return {
    default: { version, served: served(model, version) },
    ...(experiment && {
      experiment: {
        ...experiment,
        arms: experiment.arms.map((arm) => ({
          ...arm,
          share: arm.weight / sum,
          served: served(model, arm.version),
          stopped: stopped(model, arm.name) ?? null,
        })),
      },
    }),
    ...(shadow && { shadow: { ...shadow, served: served(model, shadow.version) } }),
  };
}

function linesOf(model: string, { default: usual, experiment, shadow }: ReturnType<typeof describe>): string[] {
  const head = `${model}: version ${usual.version}${inWords(usual.served)}`;
  const last = shadow
    ? [`  shadow: version ${shadow.version}, of ${percent(shadow.share)} of the jobs${inWords(shadow.served)}`]
    : [];
  if (!experiment) return [head, ...last];
  const { name, guard, arms } = experiment;
  return [
    head,
    `  experiment ${name}, ${guard ? inWordsOf(guard) : 'without a guard'}`,
    ...arms.map(
      (arm) =>
        `    ${arm.name}: version ${arm.version}, ${percent(arm.share)}${inWords(arm.served)}${whyStopped(arm.stopped)}`,
    ),
    ...last,
  ];
}

function inWordsOf({
  maxFailureRatio,
  minOperations,
  windowSeconds,
  maxSeconds,
  maxLatencyRatio,
}: GuardLimits): string {
  const failures = `stops an arm at ${percent(maxFailureRatio)} of at least ${minOperations} operations in ${windowSeconds} s`;
  const late = maxSeconds === undefined ? '' : `, where longer than ${maxSeconds} s has failed`;
  return `${failures}${late}${maxLatencyRatio === undefined ? '' : `, or at ${maxLatencyRatio} times the latency`}`;
}

const percent = (share: number): string => `${Number((share * 100).toPrecision(4))} %`;

const inWords = (served: Served): string => (served === false ? ', which Triton does not serve' : '');

function whyStopped(stop: ReturnType<Stopped> | null): string {
  if (!stop) return '';
  const { time, reason = 'failures' } = stop;
  return `, stopped by the guard${time === undefined ? '' : ` at ${time}`} (${reason}): it gets no jobs`;
}

async function whatTritonServes(env: NodeJS.ProcessEnv): Promise<Look> {
  const { tritonUrl } = readSettings(env, ['tritonUrl']).values;
  if (tritonUrl === undefined) return () => null;
  return withTriton({ url: tritonUrl }, async (triton) => {
    try {
      await reachTriton(triton, tritonUrl);
    } catch (thrown) {
      if (!(thrown instanceof CommandFailed)) throw thrown;
      say(`imagen: ${thrown.message}`);
      return () => null;
    }
    const contracts: ReturnType<ModelServer['contracts']> = triton.contracts();
    return (model, version) => contracts.get(model)?.versions.has(version) ?? false;
  });
}
