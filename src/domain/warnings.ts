/**
 * Every warning of a completion, as a closed set. The texts are fixed, because callers match them; docs/pixels.md and the
 * completion's JSON Schema list them, and tests compare both with this table.
 */
export const WARNINGS = {
  frames: 'only the first of {count} frames was used',
  'hidden-default': 'the default image was used, which is none of the {count} frames',
  bits: 'more than 8 bits per channel were reduced to 8',
  profile: 'the colour profile cannot be used and was left out',
  hdr: 'high dynamic range was reduced to the range of sRGB',
  'extra-bytes': 'bytes that belong to no part of the JPEG were skipped',
  'scan-limits': 'a scan of the JPEG states wrong limits, which were not heeded',
  'no-end': 'the JPEG has no end marker, but every block of its pixels is there',
  quality: 'output.quality was not used: the result is {format}, which has none',
  name: 'the name in output.uri says another format than that of the result, {format}',
} as const;

export type WarningCode = keyof typeof WARNINGS;

/** The text of a warning. @param values of the names in braces */
export function warning(code: WarningCode, values: Readonly<Record<string, string | number>> = {}): string {
  return WARNINGS[code].replace(/\{(\w+)\}/g, (_all, name: string) => String(values[name]));
}
