import { Command } from 'commander';
import { CHECKS } from './doctor/checks.js';
import { Deployment } from './doctor/deployment.js';
import { examine } from './doctor/examine.js';
import { hasColours, reportJson, reportText, verdictOf } from './doctor/report.js';
import { printText } from './output.js';
import { type Invocation, withHelp } from './usage.js';

export function doctorCommand(invocation: Invocation): Command {
  const command = new Command('doctor')
    .option('--json', 'print one JSON document')
    .action(async ({ json }: { readonly json?: boolean }) => {
      const deployment = new Deployment(invocation.env);
      try {
        const findings = await examine(CHECKS, deployment);
        printText(json ? reportJson(findings) : reportText(findings, hasColours(invocation.env, process.stdout.isTTY)));
        if (verdictOf(findings) === 'fault') invocation.exitCode = 1;
      } finally {
        deployment.close();
      }
    });
  return withHelp(command, ['doctor', 'doctor --json | jq ".checks[] | select(.verdict == \\"fault\\")"'], {
    0: 'no fault; there may be warnings',
    1: 'a fault',
    2: 'wrong call',
  });
}
