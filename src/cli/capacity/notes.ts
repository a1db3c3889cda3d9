/** What the figures do not say. */
import { POOL_THREADS } from '../../scheduling/codecs.js';
import { isMeasured, type RanOn, type VersionReport } from './report.js';

const NOT_MEASURED = [
  'Not measured: Pub/Sub and Cloud Storage, whose calls cost a worker time and processor as well; several models at once; ' +
    'pictures of mixed sizes, whose batches are less full.',
  "Times of executions are Triton's own. The network between this machine and Triton is in the worker's jobs a second; its share was not measured.",
  'Jobs, images and cost for each GPU are those of a GPU that is never idle. Divide by the share of the time for which yours will be busy.',
];

/** Counts may differ by this share before a note says so: Triton may still count what was sent before. */
const TOLERANCE = 0.1;

/** @param unready models that nobody asked for by name and that cannot serve, with the reason */
export function notesOf(
  ranOn: RanOn,
  versions: readonly VersionReport[],
  unready: ReadonlyMap<string, string>,
): string[] {
  return [...NOT_MEASURED, ...aboutPlace(ranOn, versions), ...versions.flatMap(aboutCounts), ...aboutUnready(unready)];
}

function aboutPlace({ triton, poolThreads, jpegLibrary }: RanOn, versions: readonly VersionReport[]): string[] {
  const without = versions.filter(({ device }) => device !== undefined && device !== 'gpu');
  const names = (device: VersionReport['device']) =>
    without
      .filter((one) => one.device === device)
      .map(labelOf)
      .join(', ');
  const [onCpu, elsewhere] = [names('cpu'), [names('model'), names('auto')].filter(Boolean).join(', ')];
  const masks = versions
    .filter(({ output }) => output === 'mask')
    .map(labelOf)
    .join(', ');
  return [
    ...(onCpu
      ? [`On CPU: ${onCpu}. A model that computes on CPU gives no figure for a GPU; "GPU" means this Triton.`]
      : []),
    ...(elsewhere ? [`Triton does not say whether these compute on a GPU: ${elsewhere}.`] : []),
    ...(masks
      ? [
          `A random picture gives a mask without clear edges, and that costs a worker more processor than a photograph's: ${masks}.`,
        ]
      : []),
    ...(triton.onThisMachine
      ? [
          'Triton has an address of this machine: it and the worker may share processors, and take them from each other.',
        ]
      : []),
    ...(poolThreads < POOL_THREADS
      ? [
          `UV_THREADPOOL_SIZE is ${poolThreads} here and ${POOL_THREADS} in the worker's image, so a worker there decodes and encodes more at once.`,
        ]
      : []),
    ...(jpegLibrary === 'sharp'
      ? [
          "JPEGs were decoded and encoded by sharp. The worker's image has libjpeg-turbo, which takes half the processor time: `imagen doctor` says why it was not used.",
        ]
      : []),
  ];
}

function aboutCounts(version: VersionReport): string[] {
  const measured = version.sizes.filter(isMeasured);
  const sum = (key: 'answered' | 'counted') => measured.reduce((total, { executions }) => total + executions[key], 0);
  const [answered, counted] = [sum('answered'), sum('counted')];
  if (counted > answered * (1 + TOLERANCE)) {
    return [
      `${labelOf(version)}: Triton counted ${counted} requests where this command sent ${answered}: others use the model, and the figures contain their work.`,
    ];
  }
  if (counted < answered * (1 - TOLERANCE)) {
    return [
      `${labelOf(version)}: Triton counted ${counted} of ${answered} requests: there are several replicas, and the executions are those of one of them.`,
    ];
  }
  return [];
}

function aboutUnready(unready: ReadonlyMap<string, string>): string[] {
  return [...unready].map(([name, reason]) => `Not ready, so not measured: ${name}: ${reason}`);
}

export const labelOf = ({ model, version }: Pick<VersionReport, 'model' | 'version'>): string =>
  version === undefined ? model : `${model}@${version}`;
