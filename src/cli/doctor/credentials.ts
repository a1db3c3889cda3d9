/** The ambient identity. */
import { googleTokens, PUBSUB_SCOPES, STORAGE_SCOPES } from '../../adapters/tokens.js';
import { check, fault, ok, type Result } from './check.js';

export const pubsub = check({
  name: 'credentials.pubsub',
  reads: ['pubsubEmulator'],
  run: ({ pubsubEmulator }) => examine(pubsubEmulator, PUBSUB_SCOPES),
});

export const storage = check({
  name: 'credentials.storage',
  reads: ['storageEmulator'],
  run: ({ storageEmulator }) => examine(storageEmulator, STORAGE_SCOPES),
});

async function examine(emulator: string | undefined, scopes: string[]): Promise<readonly Result[]> {
  if (emulator !== undefined) return [ok('an emulator needs none')];
  try {
    await googleTokens(scopes).fresh();
    return [ok('the ambient identity has a token')];
  } catch (thrown) {
    const reason = thrown instanceof Error ? thrown.message : String(thrown);
    return [
      fault(
        `there are no credentials for Google Cloud: ${reason}`,
        'in GKE, give the pod its service account (k8s/README.md); elsewhere, run `gcloud auth application-default login` or set GOOGLE_APPLICATION_CREDENTIALS',
      ),
    ];
  }
}
