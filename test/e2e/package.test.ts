/** The package as `npm pack` makes it, in an empty project that has its dependencies and nothing else of ours. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runProgram } from '../support/program.js';

const root = new URL('../..', import.meta.url).pathname;
const NAME = '@imagen-triton/imagen';

const PUBLISHER = `
import { ClientError, type Completion, createClient, JobError, type Outcome, type SubmitRequest } from '@imagen-triton/imagen/client';

const client = createClient({ projectId: 'p', statePrefix: 'gs://state', uploadPrefix: 'gs://uploads', env: {} });
const request: SubmitRequest = {
  input: 'photo.jpg',
  operations: ['enhance', { model: 'upscale', version: '2', parameters: { strength: 0.5 } }],
  output: { format: 'webp', quality: 80 },
  group: { id: 'season', total: 2 },
};
export async function all(signal: AbortSignal): Promise<Completion[]> {
  const { jobId } = await client.submit(request, { signal });
  const completion: Completion = await client.waitFor(jobId, { signal });
  const bytes: Buffer = await client.download(completion, { to: 'out.webp' });
  console.log(bytes.length, completion.output?.uri, (await client.status(jobId)).state);
  const ends: Completion[] = [];
  const pictures = [{ ...request, mine: undefined }];
  for await (const outcome of client.submitAll(pictures, { signal, onProgress: ({ succeeded }) => console.log(succeeded) })) {
    const told: Outcome = outcome;
    if (outcome.kind === 'ended') ends.push(outcome.completion);
    else if (told.kind === 'refused' && told.error instanceof JobError) console.log(told.error.code === 'INPUT_EMPTY');
  }
  const canceled = await client.cancel(jobId, { force: true });
  if (canceled.state !== 'unknown') ends.push(canceled.completion);
  return ends;
}
// @ts-expect-error a picture is missing
void client.submit({ operations: ['enhance'] });
// @ts-expect-error no such format
void client.submit({ ...request, output: { format: 'gif' } });
export const isOurs = (error: unknown): boolean => error instanceof ClientError && error.code === 'CLOSED';
`;
const RUNS = `
import { createClient } from '@imagen-triton/imagen/client';
const opened = process.getActiveResourcesInfo().filter((name) => /TCP|TLS|HTTP|UDP|DNS|Addr|Timeout|Worker/i.test(name));
const client = createClient({ projectId: 'p', statePrefix: 'gs://state', env: {} });
const later = process.getActiveResourcesInfo().filter((name) => /TCP|TLS|HTTP|UDP|DNS|Addr|Timeout|Worker/i.test(name));
console.log(JSON.stringify({ functions: Object.keys(client).sort(), opened, later }));
`;

describe('the packed package', () => {
  let folder: string;

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'imagen-package-'));
    const npm = (...args: string[]) => runProgram('npm', args, process.env);
    const packed = await npm('pack', root, '--ignore-scripts', '--silent', '--pack-destination', folder);
    expect(packed.code, packed.stderr).toBe(0);
    const modules = join(folder, 'node_modules');
    mkdirSync(join(modules, NAME), { recursive: true });
    const tar = ['-xzf', join(folder, packed.stdout.trim()), '-C', join(modules, NAME), '--strip-components=1'];
    expect(await runProgram('tar', tar, process.env)).toMatchObject({ code: 0 });
    // npm would install these from the registry. They are linked, so that the test needs no network.
    const { dependencies } = JSON.parse(readFileSync(join(modules, NAME, 'package.json'), 'utf8')) as {
      dependencies: Record<string, string>;
    };
    for (const name of [...Object.keys(dependencies), '@types/node']) {
      mkdirSync(dirname(join(modules, name)), { recursive: true });
      symlinkSync(join(root, 'node_modules', name), join(modules, name));
    }
    writeFileSync(join(folder, 'package.json'), '{"name":"publisher","private":true,"type":"module"}');
    writeFileSync(join(folder, 'publisher.ts'), PUBLISHER);
    writeFileSync(join(folder, 'runs.js'), RUNS);
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  it.each([
    // The types of the package itself are checked once.
    ['nodenext', 'nodenext', false],
    ['bundler', 'esnext', true],
  ])(
    'has types that are checked strictly with the module resolution %s',
    async (moduleResolution, module, skipLibCheck) => {
      const compilerOptions = {
        ...{ strict: true, exactOptionalPropertyTypes: true, skipLibCheck, noEmit: true, target: 'es2022' },
        ...{ module, moduleResolution, lib: ['es2023'], types: ['node'] },
      };
      const config = join(folder, `tsconfig.${moduleResolution}.json`);
      writeFileSync(config, JSON.stringify({ compilerOptions, files: ['publisher.ts'] }));
      const tsc = join(root, 'node_modules/typescript/bin/tsc');
      const { code, stdout } = await runProgram(process.execPath, [tsc, '-p', config], process.env);
      expect(stdout).toBe('');
      expect(code).toBe(0);
    },
    120_000,
  );

  it('opens nothing when it is imported, and nothing when a client is made', async () => {
    const { stdout, stderr } = await runProgram(process.execPath, [join(folder, 'runs.js')], process.env);
    expect(JSON.parse(stdout || 'null'), stderr).toEqual({
      functions: [
        ...['cancel', 'close', 'countJobs', 'download', 'jobs', 'redrive', 'redriveAll', 'status'],
        ...['submit', 'submitAll', 'waitFor', 'waitForGroup'],
      ],
      ...{ opened: [], later: [] },
    });
  });

  it('has the command, and exports nothing else', async () => {
    const bin = await runProgram(
      process.execPath,
      [join(folder, 'node_modules', NAME, 'dist/main.js'), '--version'],
      {},
    );
    expect(bin).toMatchObject({ code: 0, stdout: expect.stringMatching(/^\d+\.\d+\.\d+\n$/) as string });
    writeFileSync(join(folder, 'inside.js'), `import '${NAME}/dist/domain/job.js';`);
    const inside = await runProgram(process.execPath, [join(folder, 'inside.js')], {});
    expect(inside.stderr).toContain('ERR_PACKAGE_PATH_NOT_EXPORTED');
  });
});
