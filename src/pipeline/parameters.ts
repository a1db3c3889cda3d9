import { Ajv, type ValidateFunction } from 'ajv';
import { JobError } from '../domain/errors.js';
import type { ParameterValue } from '../domain/job.js';

/** Validators by the text of their schema. Contracts are read every few seconds and rarely change. The oldest is evicted. */
const validators = new Map<string, ValidateFunction>();
const MOST_VALIDATORS = 256;

/** @throws JobError `INTERNAL` when the model's schema is not a JSON Schema */
function validatorOf(model: string, schema: Readonly<Record<string, unknown>>): ValidateFunction {
  const text = JSON.stringify(schema);
  const known = validators.get(text);
  if (known) return known;
  try {
    // Each schema gets its own Ajv. One Ajv keeps every schema it has compiled, and rejects an `$id` that it has seen.
    const made = new Ajv({ allErrors: true, strict: false }).compile(schema);
    const [oldest] = validators.keys();
    if (validators.size >= MOST_VALIDATORS && oldest !== undefined) validators.delete(oldest);
    validators.set(text, made);
    return made;
  } catch (cause) {
    const given = cause instanceof Error ? cause.message : String(cause);
    const message = `model ${model}: imagen.parameters: expected a JSON Schema, given one of which Ajv says: ${given}`;
    throw new JobError('INTERNAL', message, { cause, stage: 'route' });
  }
}

/**
 * Checks a job's parameters against the model's `imagen.parameters`. A model that declares none accepts none, because a
 * parameter that no model reads would be a silent mistake.
 * @throws JobError `INVALID_PARAMETERS` that names each wrong parameter
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
  const validate = validatorOf(model, schema);
  if (!validate(parameters)) {
    for (const error of validate.errors ?? []) {
      if (error.keyword === 'additionalProperties') continue; // reported above, with the names that are right
      const name = error.instancePath.slice(1);
      complaints.push(`${name ? `${name}: ` : ''}${error.message ?? 'invalid'}`);
    }
  }
  if (complaints.length > 0) {
    throw new JobError('INVALID_PARAMETERS', `parameters of ${model}: ${complaints.join('; ')}`, { stage: 'route' });
  }
}
