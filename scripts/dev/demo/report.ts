/** What the demo leaves behind: the page, its pictures and the summary. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { localDir } from '../stack/paths.js';
import { renderPage } from './page.js';
import type { Outcome, Run } from './run.js';

export const demoDir = join(localDir, 'demo');

export async function writeReport(run: Run): Promise<string> {
  const page = join(demoDir, 'index.html');
  await writeFile(join(demoDir, 'summary.json'), `${JSON.stringify(run.outcomes.map(summary), null, 2)}\n`);
  await writeFile(page, renderPage(run, new Date()));
  return page;
}

function summary({ job, jobId, completion, problem, before, after }: Outcome) {
  return {
    jobId,
    operations: job.operations,
    status: problem ? (completion && completion.status !== 'succeeded' ? completion.status : 'failed') : 'succeeded',
    ...(problem ? { error: { code: problem.code, message: problem.message } } : {}),
    input: completion?.input ?? null,
    output: completion?.output ?? null,
    steps: completion?.steps ?? [],
    warnings: completion?.warnings ?? [],
    timingsMs: completion?.timingsMs ?? {},
    pictures: { before, ...(after ? { after } : {}) },
  };
}
