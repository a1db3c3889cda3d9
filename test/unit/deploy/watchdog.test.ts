import { join } from 'node:path';
import { expect, it } from 'vitest';
import { root } from '../../../scripts/dev/stack/paths.js';
import { runProgram } from '../../support/program.js';

/** A model that cannot be loaded for a long time, on a clock that leaps to whatever is due next. */
const PROGRAM = `
import watchdog

FAILURES = 40
clock, tried, pauses, said = [0.0], [0], [], []
watchdog.time.monotonic = lambda: clock[0]
watchdog.time.sleep = lambda seconds: None
watchdog.say = said.append


class Api:
    def ready(self):
        return {"m"}

    def unload(self, model):
        pass

    def load(self, model):
        tried[0] += 1
        if tried[0] <= FAILURES:
            raise OSError("500: no such file")


dog = watchdog.Watchdog(0, Api())
dog.scan = lambda: {}
dog.died(("m",), "process 1 has died")
patient = dog.patients.get(("m",))
while patient.due is not None:
    pauses.append(patient.due - clock[0])
    clock[0] = patient.due
    dog.look()
print(tried[0], max(pauses), patient.unloaded)
print(*said, sep='\\n')
`;

/**
 * A server that reaps its models' processes, as Triton from 2.64 on does when it is asked whether a model is ready: real
 * processes below this one, of a program with the stub's name.
 */
const REAPING = `
import os, shutil, subprocess, tempfile
from pathlib import Path
import watchdog

said = []
watchdog.time.sleep = lambda seconds: None
watchdog.say = said.append
folder = tempfile.mkdtemp()
program = Path(folder) / "m/1/triton_python_backend_stub"
program.parent.mkdir(parents=True)
program.write_text("#!/bin/sh\\nread line\\n")
program.chmod(0o755)
running = {}


def start(instance):
    arguments = [str(program), "region", instance]
    running[instance] = subprocess.Popen(arguments, stdin=subprocess.PIPE)


def end(instance):
    running[instance].kill()
    running.pop(instance).wait()


class Api:
    models = {"m"}
    answers = True

    def ready(self):
        if not self.answers:
            raise OSError("no answer")
        return self.models

    def unload(self, model):
        for instance in list(running):
            end(instance)

    def load(self, model):
        for instance in ("m_0_0", "m_0_1"):
            start(instance)


api = Api()
api.load("m")
dog = watchdog.Watchdog(os.getpid(), api)


def rounds(count):
    for _ in range(count):
        dog.look()
    print(len(said), len(running))


while len(dog.known) < 2:
    dog.look()
end("m_0_0")
api.answers = False
rounds(3)  # nobody can say whether the model was unloaded
api.answers = True
rounds(3)  # it was not: reloaded, once
end("m_0_1")
start("m_0_1")
rounds(3)  # another process has taken its place
api.models = set()
api.unload("m")
rounds(3)  # unloaded by somebody
shutil.rmtree(folder)
print(*said, sep="\\n")
`;

it('the watchdog reloads a model whose process was reaped, but none that was unloaded or replaced', async () => {
  const env = { ...process.env, PYTHONPATH: join(root, 'triton'), PYTHONDONTWRITEBYTECODE: '1' };
  const { code, stdout, stderr } = await runProgram('python3', ['-c', REAPING], env);
  expect(code, stderr).toBe(0);
  const lines = stdout.trim().split('\n');
  expect(lines.slice(0, 4)).toEqual(['0 1', '2 2', '2 2', '2 0']);
  expect(lines.slice(4)).toEqual([
    expect.stringMatching(/^model m: process \d+ \(m_0_0\) is gone; reloading in 0 s$/),
    expect.stringMatching(/^model m: loaded again after \d\.\d s \(reload 1\)$/),
  ]);
});

it('the watchdog never stops trying to load a model, once a minute in the end, and says so once', async () => {
  const env = { ...process.env, PYTHONPATH: join(root, 'triton'), PYTHONDONTWRITEBYTECODE: '1' };
  const { code, stdout, stderr } = await runProgram('python3', ['-c', PROGRAM], env);
  expect(code, stderr).toBe(0);
  const [outcome, ...said] = stdout.trim().split('\n');
  expect(outcome).toBe('41 60.0 False');
  const fails = 'model m: cannot be reloaded: 500: no such file; again';
  expect(said).toEqual([
    'model m: process 1 has died; reloading in 0 s',
    ...[1, 2, 4, 8, 16, 32].map((seconds) => `${fails} in ${seconds} s`),
    `${fails} every 60 s`,
    'model m: loaded again after 0.0 s (reload 1)',
  ]);
});
