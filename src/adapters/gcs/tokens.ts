import { GoogleAuth } from 'google-auth-library';

/** Headers that say who asks. */
export interface Credentials {
  readonly headers: Readonly<Record<string, string>>;
  /** The service does not accept them (401): the next request gets new ones. */
  readonly forget: () => void;
}

export interface Tokens {
  /** Cached until shortly before they expire. @throws Error when there are none */
  current(): Promise<Credentials>;
}

/** To read and to create; what of it is permitted, the identity's roles say. */
const SCOPES = ['https://www.googleapis.com/auth/devstorage.read_write'];

/** Of the ambient identity: a key file, the metadata server of Google Cloud, workload identity, or the developer's own. */
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
          // Of many requests that were refused at once, the first forgets.
          if (auth === used) auth = open();
        },
      };
    },
  };
}

/** For an emulator, which asks nobody who he is. */
export const noTokens: Tokens = {
  current: () => Promise.resolve({ headers: {}, forget: () => undefined }),
};
