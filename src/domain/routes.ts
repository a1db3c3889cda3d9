/** Routes: which version serves a job that asks for none. Read from `IMAGEN_ROUTES_FILE`. */
import { z } from 'zod';

const routesSchema = z.strictObject({
  models: z.record(
    z.string(),
    z.strictObject({
      default: z.string().regex(/^[1-9][0-9]*$/, 'expected a version number as a string'),
    }),
  ),
});

export interface Routes {
  /** The version that serves a model's jobs by default; undefined leaves the choice to the newest. */
  defaultVersion(model: string): string | undefined;
}

export const NO_ROUTES: Routes = { defaultVersion: () => undefined };

/** @throws Error that names the field, what was expected and what was given */
export function parseRoutes(text: string): Routes {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new Error('expected JSON', { cause });
  }
  const parsed = routesSchema.safeParse(value);
  if (!parsed.success) {
    throw new Error(parsed.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`).join('; '));
  }
  const { models } = parsed.data;
  return { defaultVersion: (model) => models[model]?.default };
}
