import { GoogleAuth } from 'google-auth-library';

/** Headers that authenticate a request. */
export interface Credentials {
  readonly headers: Readonly<Record<string, string>>;
  /** Call this when the service rejects them (401). The next request then gets new ones. */
  readonly forget: () => void;
}

export interface Tokens {
  /**
   * Cached until shortly before they expire.
   * @throws Error if there are none
   */
  current(): Promise<Credentials>;
}

/** Permits reading and creating. The roles of the identity restrict it further. */
const SCOPES = ['https://www.googleapis.com/auth/devstorage.read_write'];

/**
 * Tokens of the ambient identity: a key file, the metadata server of Google Cloud, workload identity, or the developer's
 * own.
 */
export function googleTokens(): Tokens {
  const open = () => new GoogleAuth({ scopes: SCOPES });
  let auth = open();
  return {
    async current() {
      const used = auth;
      const headers = await used.getRequestHeaders();
      return {
        headers: Object.fromEntries(headers),
        forget() {
          // If several requests are rejected at once, only the first drops the tokens.
          if (auth === used) auth = open();
        },
      };
    },
  };
}

/** For an emulator, which needs no authentication. */
export const noTokens: Tokens = {
  current: () => Promise.resolve({ headers: {}, forget: () => undefined }),
};
