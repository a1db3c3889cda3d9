/** What is the same for every command: examples and exit codes in its help, and six wrong uses that it refuses at once. */
import { Command } from 'commander';
import { describe, expect, it, vi } from 'vitest';
import { allCommands, run } from '../../../src/cli/index.js';

const env = {
  GOOGLE_CLOUD_PROJECT: 'p',
  PUBSUB_EMULATOR_HOST: '127.0.0.1:1',
  STORAGE_EMULATOR_HOST: '127.0.0.1:1',
  TRITON_URL: '127.0.0.1:1',
  IMAGEN_OUTPUT_PREFIX: 'gs://results',
  IMAGEN_STATE_PREFIX: 'gs://state',
  IMAGEN_UPLOAD_PREFIX: 'gs://uploads',
};

const NO_ID = /is invalid for argument 'jobId'\. Expected a job id/;
const TOO_MANY = /too many arguments/;
const UNKNOWN = /unknown option/;
const MISSING = /missing required argument/;
const TIME = /Expected a time such as 2026-12-01T12:00:00Z, or how long ago/;
const NO_ROUTES = /IMAGEN_ROUTES_FILE is not set\. Expected a path, or gs:/;
const NO_SHADOWS = /IMAGEN_SHADOW_PREFIX is not set\. Expected gs:/;
const NUMBER = /Expected a whole number from 1 to/;

/** By command; `submit` and `process` have more of them in wrong-calls.test.ts. */
const WRONG: Readonly<Record<string, readonly (readonly [args: string, message: RegExp])[]>> = {
  worker: [
    ['now', TOO_MANY],
    ['--port 80', UNKNOWN],
    ['--helpme', /Did you mean --help/],
    ['--json', UNKNOWN],
    ['start now', TOO_MANY],
    ['-p 80', UNKNOWN],
  ],
  setup: [
    ['now', TOO_MANY],
    ['--per-model', /argument missing/],
    ['--per-model ,', /--per-model/],
    ['--state-days soon', /--state-days.*soon/],
    ['--upload-days 0', /--upload-days.*0/],
    ['--notify bucket --operation upscale', /--notify.*bucket/],
    ['--operation upscale', /--notify/],
    ['--completions-push hook', /expected <name of the subscription>=<where to>, given hook/],
    ['--completions-push hook=shop.example', /expected the https:.* given shop\.example/],
    ['--completions-push hook=https://me:secret@shop.example', /without a user, a password or a fragment/],
    ['--completions-push 1=https://shop.example', /1: expected the name of a subscription/],
    [
      '--completions-push hook=https://shop.example --push-service-account me',
      /expected the email of a service account/,
    ],
    ['--push-service-account a@p.iam.gserviceaccount.com', /--push-service-account: expected with --completions-push/],
    ['--completions-push hook=https://a --push-audience shop', /--push-audience: expected with --push-service-account/],
    ['--completions-bigquery table=completions', /expected project\.dataset\.table, or dataset\.table/],
    ['--completions-bucket files=archive', /expected gs:.* given archive/],
    ['--completions-filter attributes:type', /--completions-filter: expected with a subscription/],
    [`--completions-subscription abc --completions-filter ${'x'.repeat(257)}`, /expected at most 256 bytes/],
    ['--completions-bucket abc=gs://b --completions-dead-letter-topic lost', /expected with --completions-push or/],
    ['--completions-subscription abc --completions-bigquery abc=d.t', /abc: expected one subscription of each name/],
  ],
  doctor: [
    ['now', TOO_MANY],
    ['--fix', UNKNOWN],
    ['--json=1', /Did you mean --json/],
    ['--check triton', UNKNOWN],
    ['-v', UNKNOWN],
    ['a b', TOO_MANY],
  ],
  submit: [
    ['', /required option '-p/],
    ['-p x', MISSING],
    ['a.png', /--operation/],
    ['a.png -p', /argument missing/],
    ['a.png -p x --format gif', /Allowed choices are/],
    ['nowhere.png -p x', /there is no such file/],
    ['a.png -p x --fast', UNKNOWN],
  ],
  process: [
    ['', /required option '-p/],
    ['-p x', MISSING],
    ['a.png', /required option/],
    ['a.png -p x', /-o: expected the file of the result/],
    ['*.avif -p x', /--out: expected the folder of the results/],
    ['jobs.jsonl -p x --out o', /`imagen submit` takes manifests/],
    ['a.png -o', /argument missing/],
    ['a.png -p x -o o.gif', /o\.gif/],
    ['nowhere.png -p x -o o.png', /there is no such file/],
    ['a.png -p x -o o.png --fast', UNKNOWN],
  ],
  models: [
    ['now', TOO_MANY],
    ['--model upscale', UNKNOWN],
    ['--json=1', /Did you mean --json/],
    ['lst', TOO_MANY],
    ['-m upscale', UNKNOWN],
    ['--all', UNKNOWN],
  ],
  'models list': [
    ['now', TOO_MANY],
    ['--model upscale', UNKNOWN],
    ['-m upscale', UNKNOWN],
    ['--all', UNKNOWN],
    ['--repository /models', UNKNOWN],
    ['a b', TOO_MANY],
  ],
  'models show': [
    ['', MISSING],
    ['a b', TOO_MANY],
    ['a --repository', /argument missing/],
    ['a --repository /no/such/folder', /--repository: expected a folder that exists/],
    ['a --repository gs://', /--repository: expected gs:\/\/<bucket>/],
    ['a --repository s3://models', /--repository: expected a folder or gs:/],
    ['a --version 2', UNKNOWN],
  ],
  'models check': [
    ['', MISSING],
    ['a b', TOO_MANY],
    ['/no/such/folder', /\/no\/such\/folder: expected the folder of a model/],
    ['package.json', /package\.json: expected the folder of a model/],
    ['triton/model_repository/enhance --version 1', UNKNOWN],
    ['triton/model_repository/enhance --fix', UNKNOWN],
  ],
  'models push': [
    ['--repository .', MISSING],
    ['a', /required option '--repository/],
    ['a b --repository .', TOO_MANY],
    ['/no/such/folder --repository .', /expected the folder of a model/],
    ['triton/model_repository/enhance --repository /no/such/folder', /--repository: expected a folder that exists/],
    ['triton/model_repository/enhance --repository s3://models', /--repository: expected a folder or gs:/],
    ['triton/model_repository/upscale --repository .', /--version: expected one of 1, 2, .* given none/],
    ['triton/model_repository/upscale --repository . --version 3', /--version: expected one of 1, 2, .* given 3/],
    ['triton/model_repository/upscale --repository . --version 01', /Expected a version such as 3/],
    [`triton/model_repository/enhance --repository . --note ${'x'.repeat(201)}`, /--note: expected at most 200/],
  ],
  'models load': [
    ['', MISSING],
    ['a b', TOO_MANY],
    ['a', /TRITON_ADMIN_KEY is not set/],
    ['a --version 0', /Expected a version such as 3/],
    ['a --wait-seconds 0', NUMBER],
    ['a --wait-seconds soon', NUMBER],
    ['a --force', UNKNOWN],
  ],
  'models unload': [
    ['', MISSING],
    ['a b', TOO_MANY],
    ['a', /TRITON_ADMIN_KEY is not set/],
    ['a --version 2', UNKNOWN],
    ['a --wait-seconds 3601', NUMBER],
    ['a --force', UNKNOWN],
  ],
  'models reload': [
    ['', MISSING],
    ['a b', TOO_MANY],
    ['a', /TRITON_ADMIN_KEY is not set/],
    ['--force a', UNKNOWN],
    ['a --json=1', UNKNOWN],
    ['a -v 2', UNKNOWN],
  ],
  'models promote': [
    ['', MISSING],
    ['a', MISSING],
    ['a two', /Expected the number of a version/],
    ['a 2 --share 100', /Expected a number of at least 0\.001 and at most 99\.999/],
    ['a 2 --min-operations 5', /expected --share beside them/],
    ['a 2 --share 5 --max-seconds 0', /Expected a number from 0.1 to 86400/],
    ['a 2 --share 5 --max-latency-ratio 1', /Expected a number from 1.1 to 1000/],
    ['a 2 --share 5 --max-failure-ratio 2', /Expected a number above 0, at most 1/],
    ['a 2', NO_ROUTES],
    ['a 2 3', TOO_MANY],
  ],
  'models new': [
    ['', MISSING],
    ['a b', TOO_MANY],
    ['a --into', /argument missing/],
    ['a/b', /expected a name of letters/],
    ['../a', /expected a name of letters/],
    ['a --json=1', UNKNOWN],
  ],
  'models rollback': [
    ['', MISSING],
    ['a b', TOO_MANY],
    ['a', NO_ROUTES],
    ['a --to 3', UNKNOWN],
    ['a --json=1', UNKNOWN],
    ['a --note', /argument missing/],
  ],
  'routes show': [
    ['', NO_ROUTES],
    ['--json', NO_ROUTES],
    ['now', TOO_MANY],
    ['--model a', UNKNOWN],
    ['--json=1', /Did you mean --json/],
    ['-v', UNKNOWN],
  ],
  'routes set': [
    ['', MISSING],
    ['a b', TOO_MANY],
    ['nowhere.json', /nowhere\.json: expected a file of routes: ENOENT/],
    ['package.json', /package\.json: expected routes: models: expected an object/],
    ['README.md', /README\.md: expected routes: expected JSON/],
    ['k8s/worker/routes.json', NO_ROUTES],
    ['a --yes', UNKNOWN],
  ],
  'routes history': [
    ['', NO_ROUTES],
    ['now', TOO_MANY],
    ['--limit 0', NUMBER],
    ['--limit many', NUMBER],
    ['--since 1h', UNKNOWN],
    ['--json', NO_ROUTES],
  ],
  'routes restore': [
    ['', MISSING],
    ['a b', TOO_MANY],
    ['a', NO_ROUTES],
    ['a --model b', UNKNOWN],
    ['a --note', /argument missing/],
    ['--dry-run', MISSING],
  ],
  'shadow start': [
    ['', /required option '--share <percent>'/],
    ['--share 5', MISSING],
    ['a --share 5', MISSING],
    ['a two --share 5', /Expected the number of a version/],
    ['a 2', /required option '--share <percent>'/],
    ['a 2 --share 0', /Expected a number of at least 0\.001 and at most 100/],
    ['a 2 --share 101', /Expected a number of at least 0\.001 and at most 100/],
    ['a 2 --share 5', NO_ROUTES],
    ['a 2 3 --share 5', TOO_MANY],
  ],
  'shadow stop': [
    ['', MISSING],
    ['a b', TOO_MANY],
    ['a', NO_ROUTES],
    ['a --version 2', UNKNOWN],
    ['a --json=1', UNKNOWN],
    ['a --note', /argument missing/],
  ],
  'shadow report': [
    ['', NO_SHADOWS],
    ['--json', NO_SHADOWS],
    ['now', TOO_MANY],
    ['--model', /argument missing/],
    ['--since 1h', UNKNOWN],
    ['--json=1', UNKNOWN],
  ],
  capacity: [
    ['now', TOO_MANY],
    ['--sizes big', /--sizes: expected sizes such as .*, given "big"/],
    ['--sizes 0x5', /--sizes: .*given "0x5"/],
    ['--seconds 0', /--seconds: expected a number above 0, at most 600, given "0"/],
    ['--gpu-price free', /--gpu-price: expected a number above 0, given "free"/],
    ['--format gif', /Allowed choices are/],
    ['-m', /argument missing/],
  ],
  cancel: [
    ['', MISSING],
    ['a b', TOO_MANY],
    ['../x', NO_ID],
    ['grüße', NO_ID],
    ['a --now', UNKNOWN],
    ['--force', MISSING],
  ],
  status: [
    ['', MISSING],
    ['../x', NO_ID],
    ['a ../x', NO_ID],
    ['é', NO_ID],
    ['a --all', UNKNOWN],
    ['--json', MISSING],
  ],
  'jobs list': [
    ['a', TOO_MANY],
    ['--until tomorrow', TIME],
    ['--group ../', /--group/],
    ['--tenant ../', /--tenant/],
    ['--model', /argument missing/],
    ['--limit -3', NUMBER],
    ['--limit 1.5', NUMBER],
    ['--status done', /Expected one of succeeded, failed, expired, canceled; given done/],
    ['--count --watch', /--count and --watch: expected one of them, given both/],
    ['--since 1h --until 2h', /--since and --until: expected a time before --until/],
  ],
  'jobs show': [
    ['', MISSING],
    ['a b', TOO_MANY],
    ['../x', NO_ID],
    ['a --all', UNKNOWN],
    ['a --limit 3', UNKNOWN],
    ['a --json=1', UNKNOWN],
  ],
  redrive: [
    ['', /expected ids of jobs, or a filter/],
    ['a --status failed', /expected either ids of jobs or a filter, given both/],
    ['--status done', /given done/],
    ['a --deadline soon', /--deadline: expected a time such as .*, given soon/],
    ['--dead-letters --group g', /--dead-letters: expected no ids, and no filter but/],
    ['../x', NO_ID],
  ],
  watch: [
    ['now', TOO_MANY],
    ['--status done', /given done/],
    ['--limit 0', NUMBER],
    ['--group ../x', /--group/],
    ['--code X', /Expected one of INVALID_MESSAGE, .*; given X/],
    ['--since 1h', UNKNOWN],
  ],
  'dead-letters list': [
    ['now', TOO_MANY],
    ['--code X', /given X/],
    ['--since yesterday', TIME],
    ['--until soon', TIME],
    ['--limit many', NUMBER],
    ['--since 1h --until 1d', /--since and --until: expected a time before --until/],
    ['--all', UNKNOWN],
  ],
  'dead-letters show': [
    ['', MISSING],
    ['a b', TOO_MANY],
    ['a --all', UNKNOWN],
    ['a --limit 1', UNKNOWN],
    ['a --json=1', UNKNOWN],
    ['--json', MISSING],
  ],
  'dead-letters purge': [
    ['', /expected either ids, or a filter/],
    ['a --all', /expected either ids, or a filter/],
    ['--dry-run', /expected either ids, or a filter/],
    ['--until soon', TIME],
    ['--code X', /given X/],
    ['a --force', UNKNOWN],
  ],
  completion: [
    ['', MISSING],
    ['csh', /Allowed choices are bash, zsh, fish/],
    ['bash zsh', TOO_MANY],
    ['--shell bash', UNKNOWN],
    ['bash --json', UNKNOWN],
    ['BASH', /Allowed choices are/],
  ],
  schema: [
    ['', MISSING],
    ['jobs', /Allowed choices are job, completion, group/],
    ['job completion', TOO_MANY],
    ['--json', UNKNOWN],
    ['job --pretty', UNKNOWN],
    ['Job', /Allowed choices are/],
  ],
};

const PRINTS_NO_DOCUMENT = ['worker', 'completion', 'schema'];

/** Those that only hold others. */
const HOLDERS = ['jobs', 'dead-letters', 'routes', 'shadow'];

/** Those that do something, with the words that call them. */
function leaves(commands: readonly Command[], words: readonly string[] = []): [name: string, command: Command][] {
  return commands.flatMap((command) => {
    const name = [...words, command.name()];
    const below = leaves(command.commands, name);
    return HOLDERS.includes(command.name()) ? below : [[name.join(' '), command] as [string, Command], ...below];
  });
}

const commands = leaves(await allCommands({ env, exitCode: 0 }));

async function call(line: string) {
  const said: string[] = [];
  const shown: string[] = [];
  const spies = [
    vi.spyOn(console, 'error').mockImplementation((text) => void said.push(String(text))),
    vi.spyOn(console, 'log').mockImplementation((text) => void shown.push(String(text))),
    vi.spyOn(process.stderr, 'write').mockImplementation((text) => (said.push(String(text)), true)),
    vi.spyOn(process.stdout, 'write').mockImplementation((text) => (shown.push(String(text)), true)),
  ];
  try {
    const code = await run(['node', 'imagen', ...line.split(' ').filter((word) => word !== '')], env);
    return { code, said: said.join('\n'), shown: shown.join('\n') };
  } finally {
    for (const spy of spies) spy.mockRestore();
  }
}

describe.each(commands)('imagen %s', (name) => {
  it('has examples and exit codes in its help', async () => {
    const { code, shown } = await call(`${name} --help`);
    expect(shown).toMatch(/Examples:\n {2}imagen [\s\S]*Exit codes:\n {2}0 {2}[\s\S]* {2}2 {2}wrong call/);
    if (!PRINTS_NO_DOCUMENT.includes(name)) expect(shown).toContain('--json');
    expect(code).toBe(0);
  });

  it('is called wrongly in six ways at least', () => expect(WRONG[name]?.length).toBeGreaterThanOrEqual(6));

  it.each(WRONG[name] ?? [])('refuses "%s"', async (args, message) => {
    const { code, said, shown } = await call(`${name} ${args}`);
    expect(said).toMatch(message);
    expect(said).not.toMatch(/^\s+at /m); // no stack
    expect(code).toBe(2);
    if (args.split(' ').includes('--json'))
      expect(JSON.parse(shown)).toEqual({ error: { message: expect.any(String) as string } });
    else expect(shown).toBe('');
  });
});

describe('imagen', () => {
  it.each(['', ...HOLDERS])('has examples and exit codes in the help of "%s"', async (name) => {
    const { code, shown } = await call(`${name} --help`);
    expect(shown).toMatch(/Examples:\n {2}imagen [\s\S]*Exit codes:\n {2}0 {2}[\s\S]* {2}2 {2}wrong call/);
    expect(code).toBe(0);
  });

  it('lists all commands in its help, of which it loads none', async () => {
    const { shown } = await call('--help');
    const words = (text: string) => text.replaceAll(/\s+/g, ' ');
    for (const command of await allCommands({ env, exitCode: 0 })) {
      expect(words(shown)).toContain(`${command.name()} ${command.description()}`);
    }
    expect((await call('help status')).shown).toBe((await call('status --help')).shown);
    expect((await call('statis')).said).toContain('Did you mean status?');
  });

  it('escapes what a wrong call has given', async () => {
    expect((await call('status --\u001b[31m')).said).toContain("unknown option '--\\x1b[31m'");
    expect((await call('submit no\u001b[31m\nhere.png -p x')).said).toMatch(
      /^imagen: .*no\\x1b\[31m\\nhere\.png: no file matches/,
    );
  });
});

/** By command, what fails since no service is there. `doctor` finds faults instead, and the first prints lines. */
const FAILING: Readonly<Record<string, number>> = {
  'watch --json': 1,
  'jobs list --watch --json': 1,
  'setup --json': 1,
  'models --json': 1,
  'capacity --json': 1,
  'cancel a --json': 1,
  'status a --json': 1,
  'jobs list --json': 1,
  'jobs show a --json': 1,
  'redrive a --json': 1,
  'dead-letters list --json': 1,
  'dead-letters show a --json': 1,
  'dead-letters purge a --json': 1,
  'submit gs://in/a.png -p x --json': 1,
  'submit gs://in/a.png gs://in/b.png -p x --json': 1,
  'models list --json': 1,
  'models show a --json': 1,
  'models check /none --json': 2,
  'models push /none --repository . --json': 2,
  'models load a --json': 2,
  'models unload a --json': 2,
  'models reload a --json': 2,
  'models rollback a --json': 2,
  'routes show --json': 2,
  'shadow stop a --json': 2,
  'shadow report --json': 2,
  'process none.png -p x -o o.png --json': 2,
};

describe('without any service', { timeout: 30_000 }, () => {
  it.each(Object.entries(FAILING))('%s fails with one document, or with none', async (line, expected) => {
    const { code, said, shown } = await call(line);
    expect(code, said).toBe(expected);
    const message = said.split('\n').findLast((one) => one.startsWith('imagen: '));
    expect(message).toBeDefined();
    if (line.includes('watch')) expect(shown).toBe('');
    else {
      const { error } = JSON.parse(shown) as { error: { code?: string; message: string } };
      expect(message).toContain(error.message);
    }
  });
});
