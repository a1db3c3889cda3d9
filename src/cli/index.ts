import { Command, CommanderError } from 'commander';
import { packageVersion } from '../config/version.js';
import { hasPrinted, print, printJson, READER_GONE, visible, withOutput } from './output.js';
import { INTERRUPTED, type Invocation, withHelp } from './usage.js';

/** Only the command that is called is loaded, since all of them together take a second. `--help` loads all. */
const COMMANDS: Readonly<Record<string, () => Promise<(invocation: Invocation) => Command>>> = {
  worker: async () => (await import('./worker.js')).workerCommand,
  setup: async () => (await import('./setup.js')).setupCommand,
  doctor: async () => (await import('./doctor.js')).doctorCommand,
  submit: async () => (await import('./submit.js')).submitCommand,
  process: async () => (await import('./process.js')).processCommand,
  models: async () => (await import('./models.js')).modelsCommand,
  routes: async () => (await import('./routes.js')).routesCommand,
  shadow: async () => (await import('./shadow.js')).shadowCommand,
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
 * @returns the exit code: 0 success, 1 failure, 2 wrong call or configuration, 3 a dry run of `setup` found changes, 130
 *   interrupted, 141 the reader of standard output has gone
 */
export function run(argv: readonly string[], env: NodeJS.ProcessEnv): Promise<number> {
  return withOutput(async () => {
    const [, , first = ''] = argv;
    if (first === '--version' || first === '-V') {
      print(packageVersion()); // no command is needed for it
      return 0;
    }
    const invocation: Invocation = { env, exitCode: 0 };
    try {
      await (await programFor(first, invocation)).parseAsync(argv);
      return invocation.exitCode;
    } catch (error) {
      return tellError(error, wantsDocument(argv));
    }
  });
}

async function programFor(first: string, invocation: Invocation): Promise<Command> {
  const program = new Command('imagen')
    .description('Turns a Pub/Sub queue of image jobs into finished images with NVIDIA Triton')
    .version(packageVersion())
    .enablePositionalOptions() // `imagen capacity --version 2` names a version of a model
    .configureOutput({ writeErr: (text) => process.stderr.write(visible(text)) })
    .exitOverride();
  const called = COMMANDS[first];
  for (const load of called ? [called] : Object.values(COMMANDS)) {
    const command = (await load())(invocation);
    for (const one of [command, ...command.commands]) one.copyInheritedSettings(program);
    program.addCommand(command);
  }
  return withHelp(
    program,
    ['submit photo.jpg -p enhance --wait -o enhanced.png', 'status order-8841.front', 'doctor', 'jobs list --help'],
    {
      1: 'failure: of a job, or of a service',
      [INTERRUPTED]: 'interrupted',
      [READER_GONE]: 'nobody reads standard output any more, as in `imagen jobs list | head -1`',
    },
  );
}

/** Whether a failure is to be printed as a JSON document. Commands that print JSON lines print nothing else. */
function wantsDocument([, , first, ...args]: readonly string[]): boolean {
  const flags = args.includes('--') ? args.slice(0, args.indexOf('--')) : args;
  return flags.includes('--json') && first !== 'watch' && !(first === 'jobs' && flags.includes('--watch'));
}

/** Tells an error, also as a JSON document unless the command has printed one already. @returns the exit code */
async function tellError(error: unknown, asDocument: boolean): Promise<number> {
  if (error instanceof CommanderError) {
    if (error.exitCode === 0) return 0;
    const message = error.message.replace(/^error: /, '');
    if (asDocument && !hasPrinted()) printJson({ error: { message } });
    return 2; // commander has told it already
  }
  const { explain } = await import('./explain.js');
  const told = explain(error);
  if (!told) {
    console.error(error);
    return 1;
  }
  console.error(`imagen: ${told.sentence}`);
  const { code, message } = told;
  if (asDocument && !hasPrinted()) printJson({ error: { ...(code === undefined ? {} : { code }), message } });
  return told.exitCode;
}
