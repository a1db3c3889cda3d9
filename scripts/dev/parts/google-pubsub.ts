import { existsSync, readdirSync, realpathSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { root, which } from '../stack/paths.js';
import { outputOf } from '../run.js';
import type { Missing, ProcessSpec } from './part.js';
import { answers } from './probe.js';

const minimumJava = 17;

/** Without this class, the emulator never notices that a subscriber has gone. Its source is beside it. */
const mended = join(root, 'scripts/dev/parts/pubsub-emulator');

/** What Google's emulator needs and this machine lacks. */
export async function missingForGoogle(): Promise<Missing[]> {
  const missing: Missing[] = [];
  const found = await outputOf(java(), ['-version']);
  const version = majorVersion(found);
  if (version === undefined || version < minimumJava) {
    missing.push({
      what: `Java ${minimumJava} or newer (${version === undefined ? 'no java found' : `${java()} is version ${version}`})`,
      install: `apt-get install openjdk-${minimumJava}-jre-headless`,
    });
  }
  if (!emulatorJar()) {
    missing.push({
      what: `the Cloud SDK's Pub/Sub emulator (looked in ${sdkRoots().join(', ')})`,
      install:
        'gcloud components install pubsub-emulator, or the Debian package google-cloud-cli-pubsub-emulator of ' +
        "Google's repository; CLOUDSDK_ROOT names an SDK elsewhere",
    });
  }
  return missing;
}

/** Google's Pub/Sub emulator, run from the Cloud SDK's jar: `gcloud beta emulators` would put a shell and a Python in between. */
export function googleEmulator(port: number): ProcessSpec {
  const jar = emulatorJar();
  if (!jar) throw new Error("the Cloud SDK's Pub/Sub emulator is gone");
  return {
    command: java(),
    args: [
      // The quick compiler and the simple collector: a second sooner ready, and no threads to spare on a small machine.
      ...['-XX:TieredStopAtLevel=1', '-XX:+UseSerialGC'],
      ...['-cp', `${mended}:${jar}`, 'com.google.cloud.pubsub.testing.v1.Main'],
      ...['--host=127.0.0.1', `--port=${port}`],
    ],
    ready: () => answers(`http://127.0.0.1:${port}/`),
  };
}

const java = (): string => (process.env.JAVA_HOME ? join(process.env.JAVA_HOME, 'bin/java') : 'java');

/** `17.0.15` is 17; before Java 9, `1.8.0` was 8. */
function majorVersion(output: string | undefined): number | undefined {
  const match = /version "(?:1\.)?(\d+)/.exec(output ?? '');
  return match ? Number(match[1]) : undefined;
}

function sdkRoots(): string[] {
  const gcloud = which('gcloud');
  return [
    process.env.CLOUDSDK_ROOT,
    gcloud && dirname(dirname(realpathSync(gcloud))),
    '/usr/lib/google-cloud-sdk',
    join(homedir(), 'google-cloud-sdk'),
    '/opt/google-cloud-sdk',
    '/google-cloud-sdk',
    '/snap/google-cloud-cli/current',
  ].filter((root, index, all): root is string => Boolean(root) && all.indexOf(root) === index);
}

function emulatorJar(): string | undefined {
  for (const lib of sdkRoots().map((root) => join(root, 'platform/pubsub-emulator/lib'))) {
    const names = existsSync(lib) ? readdirSync(lib) : [];
    const jar = names.find((name) => /^cloud-pubsub-emulator-.*-all\.jar$/.test(name));
    if (jar) return join(lib, jar);
  }
  return undefined;
}
