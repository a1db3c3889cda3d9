/** The variables: wrong ones, and those that are none of ours. */
import { NOT_FOR_WORKERS, SETTINGS, unknownVariables, WORKER_SETTINGS } from '../../config/index.js';
import { isPermitted, under } from '../../domain/uri.js';
import { check, fault, ok, type Result, warning } from './check.js';
import { nearest } from '../../domain/nearest.js';

export const variables = check({
  name: 'config.variables',
  reads: [],
  run(_, deployment) {
    const given = NOT_FOR_WORKERS.filter((key) => (deployment.env[SETTINGS[key].name] ?? '') !== '');
    const { problems } = deployment.settings([...WORKER_SETTINGS, ...given]);
    if (problems.length === 0) return [ok('every variable can be used')];
    return problems.map((problem) => fault(problem, 'set it as docs/configuration.md says'));
  },
});

export const unknown = check({
  name: 'config.unknown',
  reads: [],
  run(_, { env }) {
    const known = Object.values(SETTINGS).map(({ name }) => name);
    const strangers = unknownVariables(env);
    if (strangers.length === 0) return [ok('no variable looks like a setting without being one')];
    return strangers.map((name) => {
      const meant = nearest(name, known);
      const message = `${name} is no setting, so it has no effect`;
      return meant === undefined
        ? warning(message, 'remove it, or look for the right name in docs/configuration.md')
        : fault(message, `rename it if ${meant} is meant, or remove it`);
    });
  },
});

/** Prefixes that jobs need, and that the permitted ones do not contain. */
export const permitted = check({
  name: 'config.permitted',
  reads: ['outputPrefix', 'allowedInputs', 'allowedOutputs'],
  run({ outputPrefix, allowedInputs, allowedOutputs }, deployment) {
    const { uploadPrefix: uploads } = deployment;
    const results: Result[] = [];
    if (allowedInputs.length === 0) {
      results.push(
        fault(
          'IMAGEN_ALLOWED_INPUTS is not set, so every job ends as INPUT_FORBIDDEN',
          'set it to the prefixes that jobs may read from, such as gs://my-uploads',
        ),
      );
    } else if (uploads !== undefined && !isPermitted(under(uploads, 'x'), allowedInputs)) {
      results.push(
        warning(
          `IMAGEN_UPLOAD_PREFIX (${uploads}) lies under none of IMAGEN_ALLOWED_INPUTS, so jobs of \`imagen submit\` end as INPUT_FORBIDDEN`,
          'add it to IMAGEN_ALLOWED_INPUTS of the workers',
        ),
      );
    }
    if (!isPermitted(under(outputPrefix, 'x'), allowedOutputs)) {
      results.push(
        fault(
          `IMAGEN_OUTPUT_PREFIX (${outputPrefix}) lies under none of IMAGEN_ALLOWED_OUTPUTS, so jobs that name no place for their result end as OUTPUT_FORBIDDEN`,
          'add it to IMAGEN_ALLOWED_OUTPUTS',
        ),
      );
    }
    return results.length > 0 ? results : [ok('jobs may read the uploads and write where results go by default')];
  },
});
