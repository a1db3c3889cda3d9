/**
 * A plan splits an image into requests. To add a plan, add a file beside this one, its name in domain/completion.ts, and
 * a line below.
 */
import type { PlanName } from '../../domain/completion.js';
import { fit } from './fit.js';
import type { Plan } from './plan.js';
import { tile } from './tile.js';
import { whole } from './whole.js';

export const PLAN_TABLE: Readonly<Record<PlanName, Plan>> = { tile, fit, whole };
