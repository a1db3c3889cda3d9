/** `triton/entrypoint.sh serve`: the options that one version of Triton needs and another one refuses to start with. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { root } from '../../../scripts/dev/stack/paths.js';
import { runProgram } from '../../support/program.js';

/** How tritonserver 2.71 lists the option (`--help` prints to standard error). 2.51 lists none of that kind. */
const NEWER = `Shared Memory:
  --allow-client-shm <boolean>
\tAllow clients to register/unregister and use shared memory regions
`;

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'imagen-serve-'));
  await mkdir(join(dir, 'models/echo'), { recursive: true });
  await writeFile(join(dir, 'models/echo/config.pbtxt'), 'name: "echo"\n');
  await mkdir(join(dir, 'bin'));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

/** @returns the arguments that tritonserver gets */
async function serve(help: string, env: Readonly<Record<string, string>>, ...args: string[]): Promise<string[]> {
  await writeFile(join(dir, 'bin/help'), help);
  const program = `#!/bin/sh
[ "$1" != --help ] || { echo 'Usage: tritonserver [options]' >&2; exec cat ${dir}/bin/help >&2; }
for argument in "$@"; do echo "$argument"; done
`;
  await writeFile(join(dir, 'bin/tritonserver'), program, { mode: 0o755 });
  const { code, stdout, stderr } = await runProgram('sh', [join(root, 'triton/entrypoint.sh'), 'serve', ...args], {
    PATH: `${join(dir, 'bin')}:${process.env.PATH ?? ''}`,
    HOSTNAME: 'serve-test',
    MODEL_REPOSITORY: join(dir, 'models'),
    TRITON_WATCHDOG: 'off',
    ...env,
  });
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  return stdout.trim().split('\n');
}

const open = { TRITON_RESTRICTED: 'model-repository' };

it('lets a Triton that refuses shared memory by default share it, where the protocol is open', async () => {
  const args = await serve(NEWER, open, '--log-verbose=1');
  expect(args.filter((argument) => argument.includes('client-shm'))).toEqual(['--allow-client-shm=true']);
  // Of two arguments with one name Triton takes the last, so the operator's come after ours.
  expect(args.indexOf('--allow-client-shm=true')).toBeLessThan(args.indexOf('--log-verbose=1'));
});

it.each([
  ['leaves a Triton that does not know the option without it', 'Server:\n  --id <string>\n', open],
  ['keeps shared memory closed where the protocol is restricted', NEWER, {}],
] as const)('%s', async (_, help, env) => {
  expect((await serve(help, env)).filter((argument) => argument.includes('shm='))).toEqual([]);
});
