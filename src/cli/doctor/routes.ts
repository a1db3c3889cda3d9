/** The routes, and whether Triton serves what it names. */
import { ConfigError } from '../../config/index.js';
import { JobError } from '../../domain/errors.js';
import { experimentsOf } from '../../domain/experiment.js';
import { check, fault, ok, skipped } from './check.js';
import { cureFor, live } from './triton.js';

export const file = check({
  name: 'routes.file',
  reads: ['routesFile', 'storageEmulator', 'shadowPrefix'],
  async run(config, deployment) {
    const { routesFile: path, shadowPrefix } = config;
    if (path === undefined) return [ok('none: the newest version of each model serves its jobs')];
    try {
      const { named, arms, shadows } = await deployment.routes(config);
      const [shadow] = shadows;
      if (shadow && shadowPrefix === undefined) {
        return [
          fault(
            `${path}: workers refuse these routes: they name a shadow of ${shadow.model}, and IMAGEN_SHADOW_PREFIX is not set`,
            'set it to gs://<bucket>/<prefix>, or end the shadow: imagen shadow stop',
          ),
        ];
      }
      return [ok(`${path}: ${named.length} versions, ${experimentsOf(arms).length} experiments`)];
    } catch (thrown) {
      if (thrown instanceof ConfigError) {
        return [fault(thrown.problems.join('; '), 'mend the file (docs/configuration.md), or mend IMAGEN_ROUTES_FILE')];
      }
      if (!(thrown instanceof JobError)) throw thrown;
      return [
        fault(
          `the routes cannot be read: ${thrown.message}`,
          'let the worker read that object (docs/google-cloud.md), or mend IMAGEN_ROUTES_FILE',
        ),
      ];
    }
  },
});

export const served = check({
  name: 'routes.served',
  reads: ['routesFile', 'storageEmulator', 'tritonUrl'],
  needs: [file.name, live.name],
  async run(config, deployment) {
    const { named } = await deployment.routes(config);
    if (named.length === 0) return [skipped('the routes name no version')];
    const { contracts, unready } = await deployment.catalogue(config);
    return named.map(({ model, version }) => {
      const versions = contracts.get(model)?.versions;
      if (versions?.has(version)) return ok(`${model}/${version}`);
      const key = [`${model}/${version}`, model].find((one) => unready.has(one));
      const reason = key === undefined ? undefined : unready.get(key);
      if (reason !== undefined) {
        return fault(`the routes name ${model}/${version}, which cannot be used: ${reason}`, cureFor(model, reason));
      }
      const others = versions
        ? `Triton serves version ${[...versions.keys()].join(', ')} of it`
        : 'Triton does not know that model';
      return fault(
        `the routes name ${model}/${version}, and ${others}`,
        `load ${model}/${version}, or mend the routes file (IMAGEN_ROUTES_FILE)`,
      );
    });
  },
});
