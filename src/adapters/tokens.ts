import type { GoogleAuth } from 'google-auth-library';

/** Headers that authenticate a request. */
export interface Credentials {
  readonly headers: Readonly<Record<string, string>>;
  /** Call this when the service rejects them (401). The next request then gets new ones. */
  readonly forget: () => void;
}

export interface Tokens {
  /** What `fresh` returned lately, so that most requests need no promise and no time limit. */
  held(): Credentials | undefined;
  /** @throws Error if there are none */
  fresh(): Promise<Credentials>;
}

/**
 * How long credentials are used without asking for them again, in milliseconds. Google's library renews a token five minutes
 * before it expires, so it is valid for longer than that.
 */
const HELD_MS = 60_000;

/** Permits reading and creating objects. The roles of the identity restrict it further. */
export const STORAGE_SCOPES = ['https://www.googleapis.com/auth/devstorage.read_write'];
/** Permits changing buckets, too. */
export const STORAGE_ADMIN_SCOPES = ['https://www.googleapis.com/auth/devstorage.full_control'];
export const PUBSUB_SCOPES = ['https://www.googleapis.com/auth/pubsub'];

/**
 * Tokens of the ambient identity: a key file, the metadata server of Google Cloud, workload identity, or the developer's
 * own. Google's library is loaded with the first of them, since nothing else needs it and it takes a tenth of a second.
 */
export function googleTokens(scopes: string[]): Tokens {
  const open = async (): Promise<GoogleAuth> => {
    const { GoogleAuth } = await import('google-auth-library');
    return new GoogleAuth({ scopes });
  };
  let auth: Promise<GoogleAuth> | undefined;
  let held: { readonly credentials: Credentials; readonly until: number } | undefined;
  return {
    held: () => (held && performance.now() < held.until ? held.credentials : undefined),
    async fresh() {
      const used = (auth ??= open());
      const headers = Object.fromEntries(await (await used).getRequestHeaders());
      const forget = () => {
        // If several requests are rejected at once, only the first drops the tokens.
        if (auth !== used) return;
        auth = undefined;
        held = undefined;
      };
      const credentials = { headers, forget };
      if (auth === used) held = { credentials, until: performance.now() + HELD_MS };
      return credentials;
    },
  };
}

const none: Credentials = { headers: {}, forget: () => undefined };

/** For an emulator, which needs no authentication. */
export const noTokens: Tokens = { held: () => none, fresh: () => Promise.resolve(none) };
