/** The messages as JSON Schema (draft 2020-12), for publishers and readers in any language. Generated from the parsers. */
import { z } from 'zod';
import { completionSchema } from './completion.js';
import { groupCompletionSchema } from './group-completion.js';
import { jobSchema } from './job.js';

export const JSON_SCHEMAS = {
  job: () => ({ title: 'imagen job', ...z.toJSONSchema(jobSchema, { io: 'input' }) }),
  completion: () => ({ title: 'imagen completion', ...z.toJSONSchema(completionSchema) }),
  group: () => ({ title: 'imagen group completion', ...z.toJSONSchema(groupCompletionSchema) }),
} as const;
