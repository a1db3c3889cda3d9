/**
 * Makes the golden pictures anew, after a model has been changed on purpose:
 *
 *   npm run stack -- up && npm run build && npx tsx test/support/make-golden.ts [folder]
 *
 * With a folder, the full results are left there: look at them before you commit what was made of them.
 */
import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { stackEnv } from '../../scripts/dev/stack/env.js';
import { defaultStackDir } from '../../scripts/dev/stack/paths.js';
import { defaultPorts } from '../../scripts/dev/stack/ports.js';
import { readState } from '../../scripts/dev/stack/state.js';
import { CASES, goldenOf, impressionOf, inputOf, processed, writeGolden } from './golden.js';

const [keep] = process.argv.slice(2);
const folder = await mkdtemp(join(tmpdir(), 'golden-'));
const env = { ...process.env, ...stackEnv(readState(defaultStackDir)?.ports ?? defaultPorts()) };
try {
  for (const one of CASES) {
    const file = goldenOf(one);
    const result = await processed(await inputOf(one), one, { folder, env });
    await mkdir(dirname(file), { recursive: true });
    await writeGolden(file, await impressionOf(result, one));
    if (keep !== undefined) {
      await mkdir(keep, { recursive: true });
      await writeFile(join(keep, `${one.model}.${one.version}.${one.sample}.png`), result);
      await cp(join(folder, 'input.png'), join(keep, `input.${one.model}.${one.version}.${one.sample}.png`));
    }
    process.stderr.write(`${file}\n`);
  }
} finally {
  await rm(folder, { recursive: true, force: true });
}
