import type { z } from 'zod';

type Issue = z.core.$ZodIssue;

/** One sentence for each issue. It begins with the path of the field: `output.quality: expected …`. */
export function describeIssues(issues: readonly Issue[], base: readonly PropertyKey[] = []): string[] {
  return issues.flatMap((issue) => {
    const path = [...base, ...issue.path];
    if (issue.code === 'unrecognized_keys') {
      return issue.keys.map((key) => `${[...path, key].join('.')}: unknown field`);
    }
    if (issue.code === 'invalid_union') {
      // The branch that got furthest explains best. For an object with a typo, "expected a string" would mislead.
      const furthest = issue.errors.find((branch) =>
        branch.every((inner) => inner.code !== 'invalid_type' || inner.path.length > 0),
      );
      if (furthest) return describeIssues(furthest, path);
    }
    return [path.length === 0 ? issue.message : `${path.join('.')}: ${issue.message}`];
  });
}
