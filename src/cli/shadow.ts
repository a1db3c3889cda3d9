import { Command } from 'commander';
import { startCommand, stopCommand } from './shadow/edit.js';
import { reportCommand } from './shadow/report.js';
import { type Invocation, withHelp } from './usage.js';

export function shadowCommand(invocation: Invocation): Command {
  const command = new Command('shadow')
    .addCommand(startCommand(invocation))
    .addCommand(stopCommand(invocation))
    .addCommand(reportCommand(invocation));
  return withHelp(command, ['shadow start upscale 2 --share 5', 'shadow report', 'shadow stop upscale'], {
    1: 'storage does not answer, or the routes were not written',
  });
}
