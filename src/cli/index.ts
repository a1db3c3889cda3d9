import { Command, CommanderError } from 'commander';
import { packageVersion } from '../config/version.js';
import { hasPrinted, print, printJson, READER_GONE, visible, withOutput } from './output.js';
import { INTERRUPTED, type Invocation, withHelp } from './usage.js';

interface Entry {
  readonly about: string;
  readonly load: () => Promise<(invocation: Invocation) => Command>;
}

/** Only the command that is called is loaded, since all of them together take a second. */
const COMMANDS: Readonly<Record<string, Entry>> = {
  worker: {
    about: 'pull jobs and process them until SIGTERM; every setting is a variable (docs/configuration.md)',
    load: async () => (await import('./worker.js')).workerCommand,
  },
  setup: {
    about: 'create topics, subscriptions with their policies, and buckets, and correct differences; safe to run again',
    load: async () => (await import('./setup.js')).setupCommand,
  },
  doctor: {
    about: 'check everything that a worker depends on, and say what to do about each fault; changes nothing',
    load: async () => (await import('./doctor.js')).doctorCommand,
  },
  submit: {
    about: 'publish jobs for local files, folders of them, or Cloud Storage objects',
    load: async () => (await import('./submit.js')).submitCommand,
  },
  process: {
    about: 'process local pictures directly with Triton, without Pub/Sub and Cloud Storage',
    load: async () => (await import('./process.js')).processCommand,
  },
  models: {
    about: 'list the models that Triton serves; check, push, load, promote and roll back versions',
    load: async () => (await import('./models.js')).modelsCommand,
  },
  routes: {
    about: 'show and write the routes: which version of a model serves its jobs',
    load: async () => (await import('./routes.js')).routesCommand,
  },
  shadow: {
    about: 'let another version repeat some jobs, without publishing, and compare the results',
    load: async () => (await import('./shadow.js')).shadowCommand,
  },
  capacity: {
    about: 'measure on your Triton what each model costs, and how many GPUs and workers a load needs',
    load: async () => (await import('./capacity.js')).capacityCommand,
  },
  cancel: {
    about: 'end a job as canceled, in the queue or in a worker; the worker that gets it publishes the completion',
    load: async () => (await import('./cancel.js')).cancelCommand,
  },
  status: {
    about: 'show the outcome of jobs',
    load: async () => (await import('./status.js')).statusCommand,
  },
  jobs: {
    about: 'find jobs that have ended, by their records',
    load: async () => (await import('./jobs.js')).jobsCommand,
  },
  redrive: {
    about:
      'repeat the named jobs, or all that match, as <jobId>~r1, ~r2 …; running the command again publishes no job twice',
    load: async () => (await import('./redrive.js')).redriveCommand,
  },
  watch: {
    about:
      'print completions as they are published; uses its own subscription, which it deletes at the end, so other readers miss none',
    load: async () => (await import('./watch.js')).watchCommand,
  },
  'dead-letters': {
    about: 'list and show dead letters, which removes none, or purge some',
    load: async () => (await import('./dead-letters.js')).deadLettersCommand,
  },
  completion: {
    about: 'print a script that completes commands and options in a shell',
    load: async () => {
      const { completionCommand } = await import('./completion.js');
      return (invocation) => completionCommand(() => allCommands(invocation));
    },
  },
  schema: {
    about: 'print the JSON Schema of a message',
    load: async () => (await import('./schema.js')).schemaCommand,
  },
};

/** For the shells' completion. */
export async function allCommands(invocation: Invocation): Promise<Command[]> {
  return Promise.all(Object.values(COMMANDS).map((entry) => made(entry, invocation)));
}

/** For the help of the whole, and to say what a misspelt command may mean. */
const namesAlone = () => Object.entries(COMMANDS).map(([name, { about }]) => new Command(name).description(about));

async function made({ about, load }: Entry, invocation: Invocation): Promise<Command> {
  return (await load())(invocation).description(about);
}

/**
 * Runs the command line.
 * @returns the exit code: 0 success, 1 failure, 2 wrong call or configuration, 3 a dry run of `setup` found changes, 130
 *   interrupted, 141 the reader of standard output has gone
 */
export function run(argv: readonly string[], env: NodeJS.ProcessEnv): Promise<number> {
  return withOutput(async () => {
    const [, , first = '', second = ''] = argv;
    if (first === '--version' || first === '-V') {
      print(packageVersion()); // no command is needed for it
      return 0;
    }
    const invocation: Invocation = { env, exitCode: 0 };
    try {
      await (await programFor(first === 'help' ? second : first, invocation)).parseAsync(argv);
      return invocation.exitCode;
    } catch (error) {
      return tellError(error, wantsDocument(argv));
    }
  });
}

async function programFor(name: string, invocation: Invocation): Promise<Command> {
  const program = new Command('imagen')
    .description('Turns a Pub/Sub queue of image jobs into finished images with NVIDIA Triton')
    .version(packageVersion())
    .enablePositionalOptions() // `imagen capacity --version 2` names a version of a model
    .configureOutput({ writeErr: (text) => process.stderr.write(visible(text)) })
    .exitOverride();
  const called = COMMANDS[name];
  const commands = called ? [await made(called, invocation)] : namesAlone();
  for (const command of commands) {
    for (const one of [command, ...command.commands]) one.copyInheritedSettings(program);
    program.addCommand(command);
  }
  return withHelp(
    program,
    ['submit photo.jpg -p enhance --wait -o enhanced.png', 'status order-8841.front', 'doctor', 'jobs list --help'],
    {
      1: 'a job or a service failed',
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
