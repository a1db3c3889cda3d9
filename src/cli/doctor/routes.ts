/** The routes file, and whether Triton serves what it names. */
import { ConfigError } from '../../config/index.js';
import { experimentsOf } from '../../domain/experiment.js';
import { NO_ROUTES } from '../../domain/routes.js';
import { check, fault, ok, skipped } from './check.js';
import { cureFor, live } from './triton.js';

export const file = check({
  name: 'routes.file',
  reads: ['routesFile'],
  run(config, deployment) {
    const { routesFile: path } = config;
    if (path === undefined) return [ok('none: the newest version of each model serves its jobs')];
    try {
      const { named, arms } = deployment.routes(config);
      return [ok(`${path}: ${named.length} versions, ${experimentsOf(arms).length} experiments`)];
    } catch (thrown) {
      if (!(thrown instanceof ConfigError)) throw thrown;
      return [fault(thrown.problems.join('; '), 'mend the file (docs/configuration.md), or mend IMAGEN_ROUTES_FILE')];
    }
  },
});

export const served = check({
  name: 'routes.served',
  reads: ['routesFile', 'tritonUrl'],
  needs: [file.name, live.name],
  async run(config, deployment) {
    const { named } = config.routesFile === undefined ? NO_ROUTES : deployment.routes(config);
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
