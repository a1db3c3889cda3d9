import type { Part } from '../parts/part.js';
import { isFree, portVariable, type Ports } from './ports.js';
import { listenerOn } from './processes.js';

/** All that is missing, in one error. */
export async function demandPrerequisites(parts: readonly Part[]): Promise<void> {
  if (parts.length === 0) return;
  const missing = (await Promise.all(parts.map((part) => part.prerequisites()))).flat();
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    missing.unshift({
      what: `Linux on x86-64 (this is ${process.platform} on ${process.arch})`,
      install: 'the local parts exist for no other',
    });
  }
  const lines = new Set(missing.map(({ what, install }) => `  - ${what}\n      ${install}`));
  if (lines.size > 0) {
    throw new Error(
      ['The local parts need what only root can install:', ...lines].join('\n') +
        '\nscripts/install-debian-packages.sh installs what Debian has.',
    );
  }
}

/** All ports that somebody else has, in one error. */
export async function demandFreePorts(parts: readonly Part[], ports: Ports): Promise<void> {
  const taken: string[] = [];
  for (const part of parts) {
    for (const name of part.ports) {
      if (await isFree(ports[name])) continue;
      const holder = listenerOn(ports[name]);
      const who = holder ? `process ${holder.pid} (${holder.command.slice(0, 80)})` : 'a process of another user';
      taken.push(`port ${ports[name]} of ${part.id} is taken by ${who}; ${portVariable(name)} names another port`);
    }
  }
  if (taken.length > 0) throw new Error(taken.join('\n'));
}
