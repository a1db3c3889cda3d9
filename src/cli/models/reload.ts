import { Command } from 'commander';
import { reloadModel } from '../../adapters/triton/reload.js';
import { readConfig } from '../../config/index.js';
import { print, printJson, say } from '../output.js';
import { type Invocation, withHelp } from '../usage.js';
import { adminKeyOf } from './admin-key.js';

export function reloadCommand(invocation: Invocation): Command {
  const command = new Command('reload')
    .description('give a model new processes, at every replica of Triton, one after another')
    .argument('<name>', 'name of the model')
    .option('--json', 'print one JSON document')
    .action(async (model: string, _: unknown, command: Command) => {
      const { json } = command.optsWithGlobals<{ json?: boolean }>();
      const { tritonUrl } = readConfig(invocation.env, ['tritonUrl']);
      const never = new AbortController().signal;
      const done = await reloadModel(tritonUrl, model, adminKeyOf(invocation.env), never, (outcome) => {
        if (json) return;
        if (outcome.reloaded) print(`${outcome.replica}: ${model} loaded again after ${outcome.seconds} s`);
        else say(`imagen: ${outcome.replica}: ${model} was not reloaded: ${outcome.error}`);
      });
      if (json) printJson({ model, replicas: done });
      if (!done.every(({ reloaded }) => reloaded)) invocation.exitCode = 1;
    });
  return withHelp(command, ['models reload upscale'], { 1: 'a replica does not answer, or did not reload it' });
}
