/** Checks custom resources against the definitions in crds/, strictly: a field that is not defined is an error. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Ajv, type ValidateFunction } from 'ajv';
import { parse } from 'yaml';
import { root } from '../../dev/stack/paths.js';
import type { Manifest } from '../../dev/k8s/kustomize.js';

export const crdsDir = join(root, 'scripts/release/k8s/crds');

interface Definition {
  readonly group: string;
  readonly names: { readonly kind: string };
  readonly versions: readonly { readonly name: string; readonly schema: { readonly openAPIV3Schema: Schema } }[];
}

interface Schema {
  readonly type?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly additionalProperties?: Schema | boolean;
  readonly items?: Schema;
  readonly 'x-kubernetes-int-or-string'?: boolean;
  readonly 'x-kubernetes-preserve-unknown-fields'?: boolean;
}

const ajv = new Ajv({ strict: false, validateFormats: false, allErrors: true });
let validators: ReadonlyMap<string, ValidateFunction> | undefined;

const nameOf = ({ apiVersion, kind }: Pick<Manifest, 'apiVersion' | 'kind'>) => `${apiVersion} ${kind}`;

export const isCustom = (manifest: Manifest): boolean => {
  const group = manifest.apiVersion.split('/').at(-2) ?? '';
  return group.includes('.') && !group.endsWith('.k8s.io');
};

export function problemsOf(manifest: Manifest): string[] {
  validators ??= readDefinitions();
  const validate = validators.get(nameOf(manifest));
  if (!validate) return [`no definition of ${nameOf(manifest)} in scripts/release/k8s/crds`];
  validate(manifest);
  return (validate.errors ?? []).map(
    ({ instancePath, message = '', params }) => `${instancePath || '/'} ${message} ${JSON.stringify(params)}`,
  );
}

function readDefinitions(): ReadonlyMap<string, ValidateFunction> {
  const names = readdirSync(crdsDir).filter((name) => name.endsWith('.yaml'));
  const read = (name: string) => parse(readFileSync(join(crdsDir, name), 'utf8')) as { readonly spec: Definition };
  return new Map(
    names.map(read).flatMap(({ spec: { group, names, versions } }) =>
      versions.map(({ name, schema }) => {
        const what = nameOf({ apiVersion: `${group}/${name}`, kind: names.kind });
        return [what, ajv.compile(strict(schema.openAPIV3Schema, true))];
      }),
    ),
  );
}

/** The schema, with every object closed that does not say it is open, as the API server prunes them. */
function strict(schema: Schema, isRoot = false): Schema {
  const { properties, additionalProperties, items } = schema;
  if (schema['x-kubernetes-int-or-string']) return { ...schema, type: ['integer', 'string'] } as unknown as Schema;
  const closed =
    properties && additionalProperties === undefined && !schema['x-kubernetes-preserve-unknown-fields']
      ? { additionalProperties: false }
      : {};
  return {
    ...schema,
    ...closed,
    ...(properties && {
      properties: Object.fromEntries(
        // Every object has the same metadata, which the definition does not describe.
        Object.entries(properties).map(([name, of]) => [name, isRoot && name === 'metadata' ? of : strict(of)]),
      ),
    }),
    ...(typeof additionalProperties === 'object' && { additionalProperties: strict(additionalProperties) }),
    ...(items && { items: strict(items) }),
  };
}
