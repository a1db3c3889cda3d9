/** Parses the text of a setting, empty if there is none. It returns a value, or a sentence that begins with "expected". */
export type Reader<T> = (text: string) => T | Expected;
export class Expected {
  constructor(
    readonly sentence: string,
    /** Shown instead of the given text, if that may be secret. */
    readonly given?: string,
  ) {}
}
export const expected = (sentence: string, given?: string) => new Expected(`expected ${sentence}`, given);

export interface Setting<T> {
  readonly name: string;
  readonly about: string;
  readonly read: Reader<T>;
  /** Default text, parsed like any other. Undefined means required, null means optional. */
  readonly fallback: string | null | undefined;
}

export type Value<S> = S extends { readonly read: Reader<infer T>; readonly fallback: null }
  ? T | undefined
  : S extends { readonly read: Reader<infer T> }
    ? T
    : never;

export const setting = <T, const F extends string | null | undefined = undefined>(
  name: string,
  read: Reader<T>,
  about: string,
  fallback?: F,
) =>
  ({ name, read, about, fallback }) as {
    readonly name: string;
    readonly about: string;
    readonly read: Reader<T>;
    readonly fallback: F;
  };
