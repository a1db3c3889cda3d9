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
