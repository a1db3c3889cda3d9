import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, inject, it, vi } from 'vitest';
import { notLoaded, sharedMemoryPrefix } from '../../scripts/dev/parts/triton.js';
import { installOnce } from '../../scripts/dev/stack/cache.js';
import { downStack, leftovers } from '../../scripts/dev/stack/down.js';
import { localDir, root, testModels } from '../../scripts/dev/stack/paths.js';
import { foreignWorkers, warningOf } from '../../scripts/dev/stack/foreign-workers.js';
import { freePort, freePorts } from '../../scripts/dev/stack/ports.js';
import { readState } from '../../scripts/dev/stack/state.js';
import { upStack } from '../../scripts/dev/stack/up.js';
import { createPubSub } from '../../scripts/lab/google-clients.js';

const run = promisify(execFile);
const tsx = ['--import', 'tsx'];

/** Every test has an instance folder of its own, and has to leave nothing alive in it. */
let dir: string;

beforeEach(async () => {
  dir = await mkdtemp(join(localDir, 'test-stack-'));
});

afterEach(async () => {
  const left = leftovers(dir);
  await downStack({ dir });
  await rm(dir, { recursive: true, force: true });
  expect(left).toEqual([]);
});

/** Runs `body` in a process of its own, with `upStack` and `dir` at hand. */
function inProcess(body: string, env: Record<string, string> = {}): ChildProcess {
  const script = `
    const { upStack } = await import(${JSON.stringify(join(root, 'scripts/dev/stack/up.ts'))});
    const dir = ${JSON.stringify(dir)};
    ${body}`;
  const args = [...tsx, '--input-type=module', '--eval', script];
  return spawn(process.execPath, args, { cwd: root, env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 2] });
}

async function output(child: ChildProcess): Promise<string> {
  let text = '';
  child.stdout?.on('data', (chunk) => (text += String(chunk)));
  await once(child, 'close');
  return text;
}

/** What the instance's Triton has under /dev/shm. */
async function sharedMemory(): Promise<string[]> {
  return (await readdir('/dev/shm')).filter((name) => name.startsWith(sharedMemoryPrefix(dir)));
}

describe('up', () => {
  it('names the part, the port and the process where a port is taken, and starts nothing', async () => {
    const ports = await freePorts();
    const foreign = createServer().listen(ports.gcs, '127.0.0.1');
    await once(foreign, 'listening');
    try {
      await expect(upStack({ dir, ports, parts: ['pubsub', 'gcs'] })).rejects.toThrow(
        `port ${ports.gcs} of gcs is taken by process ${process.pid}`,
      );
      expect(leftovers(dir)).toEqual([]);
    } finally {
      foreign.close();
    }
  });

  it('says all that only root can install, in one error, before anything starts', async () => {
    const child = inProcess(`await upStack({ dir, ports: 'free' }).catch((error) => console.log(error.message));`, {
      JAVA_HOME: '/nonexistent',
      IMAGEN_PYTHON: '/nonexistent/python',
      IMAGEN_STACK_PUBSUB: 'google',
    });
    const message = await output(child);
    expect(message).toMatch(/Java 17 or newer.*\n.*openjdk-17-jre-headless/);
    expect(message).toMatch(/Python .*no \/nonexistent\/python found.*\n.*python3-venv/);
    expect(await readdir(dir)).toEqual([]);
  });

  it("starts the embedded Pub/Sub where Google's emulator cannot run, says why, and stops it like the others", async () => {
    const child = inProcess(
      `const { createProgress } = await import(${JSON.stringify(join(root, 'scripts/dev/progress.ts'))});
       const progress = createProgress((line) => console.log(line.trim()));
       await upStack({ dir, ports: 'free', parts: ['pubsub'], outlive: true, progress });`,
      { JAVA_HOME: '/nonexistent', IMAGEN_STACK_PUBSUB: '' },
    );
    expect(await output(child)).toMatch(/pubsub: embedded, since Google's needs Java 17 or newer \(no java found\)/);
    const { ports, parts } = readState(dir) ?? {};
    const pubsub = createPubSub({ projectId: 'p', emulator: `127.0.0.1:${ports?.pubsub ?? 0}` });
    await pubsub.createTopic('here');
    await pubsub.close();
    expect(await readFile(parts?.pubsub?.log ?? '', 'utf8')).toContain(`Pub/Sub on 127.0.0.1:${ports?.pubsub ?? 0}`);
    expect(await downStack({ dir })).toHaveLength(1);
  });

  it('takes the Pub/Sub that is named, and knows two', async () => {
    const options = { dir, ports: 'free', parts: ['pubsub'] } as const;
    const stack = await upStack({ ...options, pubsub: 'embedded' });
    expect(leftovers(dir).map(({ command }) => command)).toContainEqual(expect.stringContaining('pubsub/main.ts'));
    await stack.down();
    const child = inProcess(`await upStack({ dir, parts: ['pubsub'] }).catch((error) => console.log(error.message));`, {
      IMAGEN_STACK_PUBSUB: 'kafka',
    });
    expect(await output(child)).toBe("IMAGEN_STACK_PUBSUB must be google or embedded, not 'kafka'\n");
  });

  it('leaves alone what is up, also when two come at once', async () => {
    const up = () => upStack({ dir, ports: 'free', parts: ['gcs'] });
    const [first, second] = await Promise.all([up(), up()]);
    const { gcs } = readState(dir)?.parts ?? {};
    const third = await up();
    expect([...first.started, ...second.started]).toEqual(['gcs']);
    expect([...first.already, ...second.already]).toEqual(['gcs']);
    expect(third.started).toEqual([]);
    expect(third.ports).toEqual(first.ports);
    expect(readState(dir)?.parts.gcs).toEqual(gcs);
    await third.down();
    expect(readState(dir)?.parts.gcs).toEqual(gcs);
    await Promise.all([first.down(), second.down()]);
    expect(readState(dir)).toBeUndefined();
  });

  it('stops what it has started when it is told to give up', async () => {
    const giveUp = new AbortController();
    const rising = upStack({ dir, ports: 'free', parts: ['pubsub', 'gcs'], signal: giveUp.signal });
    const risen = expect(rising).rejects.toThrow('enough');
    await vi.waitFor(() => expect(readState(dir)?.parts.pubsub).toBeDefined(), { timeout: 10_000, interval: 5 });
    giveUp.abort(new Error('enough'));
    await risen;
    expect(leftovers(dir)).toEqual([]);
    expect(readState(dir)).toBeUndefined();
  });

  it('shows why a part failed, and stops the others', async () => {
    await expect(
      upStack({
        ...{ dir, ports: 'free', parts: ['gcs', 'triton'], models: ['style_aged'], tritonArgs: ['no-such-argument'] },
      }),
    ).rejects.toThrow(
      /^triton \(NVIDIA Triton\): exited with code 1 before it was ready\n[^]*triton\.log[^]*no-such-argument/,
    );
    expect(leftovers(dir)).toEqual([]);
    expect(await sharedMemory()).toEqual([]);
  });
});

describe('the end', () => {
  it('comes for the parts when their owner is killed', async () => {
    const owner = inProcess(`
      await upStack({ dir, ports: 'free', parts: ['gcs'] });
      console.log('up');
      setInterval(() => {}, 1000);`);
    const exit = once(owner, 'exit');
    if (owner.stdout) await once(owner.stdout, 'data');
    expect(leftovers(dir).map(({ command }) => command)).toContainEqual(expect.stringContaining('fake-gcs-server'));
    owner.kill('SIGKILL');
    await exit;
    await vi.waitFor(() => expect(leftovers(dir)).toEqual([]), { timeout: 15_000, interval: 50 });
    expect(readState(dir)).toBeUndefined();
  });

  it('comes only with `down` where the stack is to outlive who started it', async () => {
    await output(inProcess(`await upStack({ dir, ports: 'free', parts: ['gcs'], outlive: true });`));
    const state = readState(dir);
    const response = await fetch(`http://127.0.0.1:${state?.ports.gcs ?? 0}/storage/v1/b?project=any`);
    expect(response.status).toBe(200);
    expect(await downStack({ dir })).toHaveLength(1);
    expect(await downStack({ dir })).toEqual([]);
  });

  it('leaves no shared memory of a Triton that was killed with all its children', async () => {
    await upStack({ dir, ports: 'free', parts: ['triton'], models: ['style_aged'], outlive: true });
    expect(await sharedMemory()).not.toEqual([]);
    for (const { pid } of leftovers(dir)) process.kill(pid, 'SIGKILL');
    await vi.waitFor(() => expect(leftovers(dir)).toEqual([]));
    await downStack({ dir });
    expect(await sharedMemory()).toEqual([]);
  });
});

describe("models of a developer's own", () => {
  it('may not have the name of another, and are named with the reason where Triton cannot load them', async () => {
    const folder = join(dir, 'own');
    const taken = join(folder, 'style_aged');
    await mkdir(taken, { recursive: true });
    const serving = { parts: ['triton'], models: ['style_aged'], modelRepositories: [{ folder }] } as const;
    const up = () => upStack({ dir, ports: 'free', ...serving });
    await expect(up()).rejects.toThrow(`${taken}: there is another model style_aged, and Triton serves neither`);
    await rm(taken, { recursive: true });
    await cp(join(testModels.folder, 'broken'), join(folder, 'broken'), { recursive: true });
    const stack = await up();
    expect(await notLoaded(stack.ports, folder)).toEqual([
      expect.stringMatching(/\/own\/broken is not served: .*\w/) as string,
    ]);
    await stack.down();
  });
});

describe('down', () => {
  it('leaves alone what has the folder in its environment, and was not started with the stack', async () => {
    const env: NodeJS.ProcessEnv = { ...process.env, IMAGEN_STACK_DIR: dir };
    delete env.IMAGEN_STACK_RUN;
    const editor = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000); console.log()'], { env });
    try {
      await once(editor.stdout, 'data');
      expect(leftovers(dir)).toEqual([]);
      expect(await downStack({ dir })).toEqual([]);
      expect(editor.exitCode ?? editor.signalCode).toBeNull();
    } finally {
      editor.kill('SIGKILL');
    }
  });
});

describe('a worker that no stack has started', () => {
  it.each(['localhost', '127.0.0.1', '0.0.0.0', '[::1]'])(
    'is found by the port, whatever it calls this machine: %s',
    async (host) => {
      const port = await freePort();
      const env = { ...process.env, PUBSUB_EMULATOR_HOST: `${host}:${port}` };
      const worker = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)', 'dist/main.js', 'worker'], { env });
      try {
        await vi.waitFor(() => expect(foreignWorkers(`127.0.0.1:${port}`)).toMatchObject([{ pid: worker.pid }]));
        expect(foreignWorkers(`127.0.0.1:${port + 1}`)).toEqual([]);
        expect(foreignWorkers(`elsewhere:${port}`)).toEqual([]);
      } finally {
        worker.kill('SIGKILL');
        await once(worker, 'exit');
      }
    },
  );

  it('is named, with the command that ends it, while it pulls from the address of the stack', async () => {
    const emulator = `127.0.0.1:${await freePort()}`;
    // It waits for a Pub/Sub that is not there.
    const env = { ...process.env, PUBSUB_EMULATOR_HOST: emulator };
    const idle = ['-e', 'setInterval(() => {}, 1000)'];
    const start = (...args: string[]) => spawn(process.execPath, [...idle, ...args], { env, stdio: 'ignore' });
    const [worker, other] = [start('dist/main.js', 'worker'), start('dist/main.js', 'watch')];
    try {
      await vi.waitFor(() => expect(foreignWorkers(emulator)).toHaveLength(1));
      const [found = expect.fail()] = foreignWorkers(emulator);
      expect(found.pid).toBe(worker.pid);
      expect(warningOf(found)).toContain(`To end it: kill ${worker.pid}`);
      expect(foreignWorkers('127.0.0.1:1')).toEqual([]);
    } finally {
      for (const child of [worker, other]) child.kill('SIGKILL');
      await once(worker, 'exit');
    }
    expect(foreignWorkers(emulator)).toEqual([]);
  });
});

describe('env', () => {
  it('prints every variable that a worker needs, for a shell to read', async () => {
    const { stdout } = await run(process.execPath, [...tsx, join(root, 'scripts/dev/stack.ts'), 'env'], { cwd: root });
    const shell = await run('sh', ['-c', `${stdout}env`], { env: {} });
    const seen = new Map(shell.stdout.split('\n').map((line) => line.split(/=(.*)/s) as [string, string]));
    const promised = [
      ...['GOOGLE_CLOUD_PROJECT', 'PUBSUB_EMULATOR_HOST', 'STORAGE_EMULATOR_HOST', 'TRITON_URL', 'PORT'],
      ...['IMAGEN_JOBS_TOPIC', 'IMAGEN_JOBS_SUBSCRIPTIONS', 'IMAGEN_COMPLETIONS_TOPIC'],
      ...['IMAGEN_DEAD_LETTER_TOPIC', 'IMAGEN_DEAD_LETTER_SUBSCRIPTION'],
      ...['IMAGEN_OUTPUT_PREFIX', 'IMAGEN_STATE_PREFIX', 'IMAGEN_UPLOAD_PREFIX'],
      ...['IMAGEN_ALLOWED_INPUTS', 'IMAGEN_ALLOWED_OUTPUTS', 'IMAGEN_MAX_ATTEMPTS', 'IMAGEN_DRAIN_SECONDS'],
    ];
    expect(promised.filter((name) => !seen.get(name))).toEqual([]);
    expect(seen.get('GOOGLE_CLOUD_PROJECT')).toBe('imagen-local');
  });

  it('leads to the parts', async () => {
    const { env, ports } = inject('stack');
    const alive = await Promise.all(
      [
        `http://${env.PUBSUB_EMULATOR_HOST}/`,
        `${env.STORAGE_EMULATOR_HOST}/storage/v1/b?project=${env.GOOGLE_CLOUD_PROJECT}`,
        `http://127.0.0.1:${ports.tritonHttp}/v2/health/ready`,
      ].map(async (url) => (await fetch(url)).status),
    );
    expect(alive).toEqual([200, 200, 200]);
    expect(env.TRITON_URL).toBe(`127.0.0.1:${ports.tritonGrpc}`);
  });
});

describe('an installation', () => {
  it('is made once, and again when its key changes, a file of it changes, or it was cut short', async () => {
    const folder = join(dir, 'thing');
    const made: string[] = [];
    const install = (key: string, fails = false) =>
      installOnce({
        folder,
        key,
        essential: ['file'],
        build: async () => {
          made.push(key);
          await writeFile(join(folder, 'file'), key);
          if (fails) throw new Error('cut short');
        },
      });
    await install('one');
    await install('one');
    expect(made).toEqual(['one']);
    await install('two');
    await writeFile(join(folder, 'file'), '');
    await install('two');
    await rm(join(folder, 'file'));
    await install('two');
    expect(made).toEqual(['one', 'two', 'two', 'two']);
    await expect(install('three', true)).rejects.toThrow('cut short');
    await install('three');
    expect(made.slice(4)).toEqual(['three', 'three']);
    expect(await readFile(join(folder, 'file'), 'utf8')).toBe('three');
  });
});
