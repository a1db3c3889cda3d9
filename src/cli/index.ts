import { Command, CommanderError } from 'commander';
import { packageVersion } from '../config/version.js';
import { explain } from './explain.js';
import type { Invocation } from './usage.js';

/** Only the command that is called is loaded, since all of them together take a second. `--help` loads all. */
const COMMANDS: Readonly<Record<string, () => Promise<(invocation: Invocation) => Command>>> = {
  worker: async () => (await import('./worker.js')).workerCommand,
  setup: async () => (await import('./setup.js')).setupCommand,
  doctor: async () => (await import('./doctor.js')).doctorCommand,
  submit: async () => (await import('./submit.js')).submitCommand,
  process: async () => (await import('./process.js')).processCommand,
  models: async () => (await import('./models.js')).modelsCommand,
  capacity: async () => (await import('./capacity.js')).capacityCommand,
  cancel: async () => (await import('./cancel.js')).cancelCommand,
  status: async () => (await import('./status.js')).statusCommand,
  jobs: async () => (await import('./jobs.js')).jobsCommand,
  redrive: async () => (await import('./redrive.js')).redriveCommand,
  watch: async () => (await import('./watch.js')).watchCommand,
  'dead-letters': async () => (await import('./dead-letters.js')).deadLettersCommand,
  completion: async () => {
    const { completionCommand } = await import('./completion.js');
    return (invocation) => completionCommand(() => allCommands(invocation));
  },
  schema: async () => (await import('./schema.js')).schemaCommand,
};

/** For what lists the commands: the help, the shells' completion. */
export async function allCommands(invocation: Invocation): Promise<Command[]> {
  const makers = await Promise.all(Object.values(COMMANDS).map((load) => load()));
  return makers.map((command) => command(invocation));
}

/**
 * Runs the command line.
 * @returns the exit code: 0 success, 1 failure, 2 wrong call or configuration, 3 a dry run of `setup` found changes
 */
export async function run(argv: readonly string[], env: NodeJS.ProcessEnv): Promise<number> {
  const invocation: Invocation = { env, exitCode: 0 };
  const program = new Command('imagen')
    .description('Turns a Pub/Sub queue of image jobs into finished images with NVIDIA Triton')
    .version(packageVersion())
    .enablePositionalOptions() // `imagen capacity --version 2` names a version of a model
    .exitOverride();
  const called = COMMANDS[argv[2] ?? ''];
  for (const load of called ? [called] : Object.values(COMMANDS)) {
    const command = await load();
    program.addCommand(command(invocation).exitOverride());
  }
  try {
    await program.parseAsync(argv);
    return invocation.exitCode;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2; // commander has printed it already
    const told = explain(error);
    if (told) console.error(`imagen: ${told.sentence}`);
    else console.error(error);
    return told?.exitCode ?? 1;
  }
}
