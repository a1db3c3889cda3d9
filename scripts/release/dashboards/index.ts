import { job } from './job.js';
import { overview } from './overview.js';
import { triton } from './triton.js';
import { versions } from './versions.js';

/** Each as the JSON that Grafana imports, by the name of its file in k8s/monitoring/dashboards. */
export const dashboards = { overview, triton, versions, job };
