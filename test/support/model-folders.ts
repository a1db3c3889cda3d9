/** Small models for tests of pushes: they negate a picture, with a margin and versions of one's choice. */
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

export const NEGATE = '255 - image';

/** @param policy what is in `version_policy` */
export function configOf(model: string, policy: string, more = ''): string {
  return `name: "${model}"
backend: "python"
max_batch_size: 4
input [ { name: "image" data_type: TYPE_UINT8 dims: [ -1, -1, 3 ] } ]
output [ { name: "image" data_type: TYPE_UINT8 dims: [ -1, -1, 3 ] } ]
version_policy { ${policy} }
dynamic_batching {}
parameters { key: "imagen.plans" value { string_value: '["tile", "whole"]' } }
parameters { key: "imagen.tile_sizes" value { string_value: "[32, 64]" } }
parameters { key: "imagen.margin" value { string_value: "3" } }
${more}`;
}

/** @param answer an expression of NumPy for what becomes of `image`, [N, H, W, 3] */
export const codeOf = (answer: string): string => `
import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        images = [pb_utils.get_input_tensor_by_name(request, "image").as_numpy() for request in requests]
        return [pb_utils.InferenceResponse([pb_utils.Tensor("image", (${answer}).astype(np.uint8))]) for image in images]
`;

/** Writes a model's directory. @returns the folder */
export async function writeModel(root: string, model: string, config: string, files: Readonly<Record<string, string>>) {
  for (const [path, text] of Object.entries({ ...files, 'config.pbtxt': config })) {
    await mkdir(dirname(join(root, model, path)), { recursive: true });
    await writeFile(join(root, model, path), text);
  }
  return join(root, model);
}

/** Every file below a folder with its text, but not what tools keep to themselves; manifests without their time. */
export async function contentsOf(folder: string): Promise<Record<string, string>> {
  const entries = await readdir(folder, { withFileTypes: true, recursive: true });
  const all: Record<string, string> = {};
  for (const entry of entries) {
    const path = join(entry.parentPath, entry.name).slice(folder.length + 1);
    if (!entry.isFile() || path.startsWith('.imagen-push')) continue;
    const text = await readFile(join(folder, path), 'utf8');
    all[path] = text.replace(/"pushedAt": "[^"]*"/, '"pushedAt": "…"');
  }
  return all;
}
