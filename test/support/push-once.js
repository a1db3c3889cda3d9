/** Pushes the second version of a model's folder into a repository, as `imagen models push` does, but starts sooner. */
import process from 'node:process';
import { readModelDirectory } from '../../dist/cli/models/directory.js';
import { manifestOf } from '../../dist/cli/models/manifest.js';
import { openRepository } from '../../dist/cli/models/repository.js';

const [, , folder, place] = process.argv;
const { model, config = '', versions, shared } = await readModelDirectory(folder);
const files = versions.get('2') ?? [];
const manifest = await manifestOf({ model, version: '2', config }, files, undefined);
const repository = await openRepository(place, undefined);
await repository.push({ model, version: '2', config, files, shared, manifest }, false);
