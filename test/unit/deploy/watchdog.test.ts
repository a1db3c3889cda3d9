import { join } from 'node:path';
import { expect, it } from 'vitest';
import { root } from '../../../scripts/dev/stack/paths.js';
import { runProgram } from '../../support/program.js';

/** A model that cannot be loaded for a long time, on a clock that leaps to whatever is due next. */
const PROGRAM = `
import watchdog

FAILURES = 40
clock, tried, pauses = [0.0], [0], []
watchdog.time.monotonic = lambda: clock[0]
watchdog.time.sleep = lambda seconds: None
watchdog.say = lambda text: None


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
`;

it('the watchdog goes on trying, once a minute at the least, to load a model that cannot be loaded', async () => {
  const env = { ...process.env, PYTHONPATH: join(root, 'triton'), PYTHONDONTWRITEBYTECODE: '1' };
  const { code, stdout, stderr } = await runProgram('python3', ['-c', PROGRAM], env);
  expect(code, stderr).toBe(0);
  expect(stdout.trim()).toBe('41 60.0 False');
});
