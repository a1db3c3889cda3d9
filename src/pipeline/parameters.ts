import { Ajv, type ValidateFunction } from 'ajv';
import { JobError } from '../domain/errors.js';
import type { ParameterValue } from '../domain/job.js';

const ajv = new Ajv({ allErrors: true, strict: false });
// A contract's schema object lives as long as the contract does, so compiled validators go with it.
const validators = new WeakMap<object, ValidateFunction>();

/**
 * Checks a job's parameters against what the model declares in `imagen.parameters`. A model that declares nothing takes
 * nothing: a parameter that nobody reads would be a silent mistake.
 * @throws JobError `INVALID_PARAMETERS` naming each wrong parameter
 */
export function checkParameters(
  model: string,
  schema: Readonly<Record<string, unknown>>,
  parameters: Readonly<Record<string, ParameterValue>>,
): void {
  const declared = Object.keys(schema.properties ?? {});
  const complaints = Object.keys(parameters)
    .filter((name) => !declared.includes(name))
    .map((name) => `${name}: unknown, expected ${declared.length ? `one of ${declared.join(', ')}` : 'none'}`);
  const validate = validators.get(schema) ?? ajv.compile(schema);
  validators.set(schema, validate);
  if (!validate(parameters)) {
    for (const error of validate.errors ?? []) {
      if (error.keyword === 'additionalProperties') continue; // named above, with what would be right
      const name = error.instancePath.slice(1);
      complaints.push(`${name ? `${name}: ` : ''}${error.message ?? 'invalid'}`);
    }
  }
  if (complaints.length > 0) {
    throw new JobError('INVALID_PARAMETERS', `parameters of ${model}: ${complaints.join('; ')}`, { stage: 'route' });
  }
}
