/** Has promtool look at the rules as they are shipped, and try them on the series of test/alerts: part of `npm run check`. */
import { copyFile, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from '../../dev/run.js';
import { localDir, root, which } from '../../dev/stack/paths.js';
import { asRuleFile, ruleGroups } from '../../dev/parts/rules.js';

const tests = join(root, 'test/alerts');
const promtool = which('promtool');

if (promtool === undefined) {
  console.error('promtool is missing: the Debian package prometheus (scripts/install-debian-packages.sh) brings it');
  process.exitCode = 1;
} else {
  await mkdir(localDir, { recursive: true });
  const folder = await mkdtemp(join(localDir, 'alerts-'));
  try {
    const names = (await readdir(tests)).filter((name) => name.endsWith('.test.yaml'));
    await writeFile(join(folder, 'rules.yml'), asRuleFile(ruleGroups()));
    for (const name of names) await copyFile(join(tests, name), join(folder, name));
    await run(promtool, ['check', 'rules', 'rules.yml'], { cwd: folder });
    await run(promtool, ['test', 'rules', ...names], { cwd: folder });
    const alerts = ruleGroups().flatMap(({ rules }) => rules.filter(({ alert }) => alert !== undefined));
    console.log(`alerts: ${alerts.length} rules, tried on ${names.length} files of series`);
  } catch (error) {
    console.error((error as Error).message);
    process.exitCode = 1;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
