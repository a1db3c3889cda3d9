/** Metrics that dashboards and alerts ask for and that are not ours; docs/metrics.md lists ours. */

/** Triton's, of every server. */
export const TRITON = [
  ...['nv_inference_count', 'nv_inference_exec_count', 'nv_inference_request_success', 'nv_inference_request_failure'],
  ...['nv_inference_request_duration_us', 'nv_inference_queue_duration_us', 'nv_inference_compute_input_duration_us'],
  ...['nv_inference_compute_infer_duration_us', 'nv_inference_compute_output_duration_us'],
  ...['nv_inference_pending_request_count', 'nv_cpu_utilization', 'nv_cpu_memory_used_bytes'],
  'nv_cpu_memory_total_bytes',
];

/** Triton's, where it has a GPU; all with the label gpu_uuid. The utilization is a share, from 0 to 1. */
export const GPU = ['nv_gpu_utilization', 'nv_gpu_memory_used_bytes', 'nv_gpu_memory_total_bytes'];

/** Cloud Monitoring's, as Managed Prometheus names them; locally scripts/dev/backlog has them. */
export const PUBSUB = [
  'pubsub_googleapis_com:subscription_num_undelivered_messages',
  'pubsub_googleapis_com:subscription_oldest_unacked_message_age',
];

/** prom-client's of every process, and Prometheus' own of every target. */
export const PROCESS = [
  ...['process_cpu_seconds_total', 'process_resident_memory_bytes', 'process_start_time_seconds'],
  ...['nodejs_eventloop_lag_p99_seconds', 'up'],
];

/** Names of metrics in a query: whatever is no function, keyword, label or text. */
export function metricsIn(expr: string): string[] {
  const bare = expr
    .replaceAll(/"(?:[^"\\]|\\.)*"/g, '')
    .replaceAll(/\{[^}]*\}/g, ' ')
    .replaceAll(/\[[^\]]*\]/g, ' ')
    .replaceAll(/\b(?:by|on|ignoring|group_left|group_right|without)\s*\([^)]*\)/g, ' ');
  const words = bare.match(/[A-Za-z_:][\w:]*(?!\w*\s*\()/g) ?? [];
  return [...new Set(words.filter((word) => !/^(?:and|or|unless|bool|offset|by|on|\d+\w)$/.test(word)))].filter(
    (word) => word.includes('_') || word.includes(':') || word === 'up',
  );
}

/** The series that a query asks for, as selectors: `name{matchers}`. */
export function selectorsIn(expr: string): string[] {
  const found = metricsIn(expr).flatMap(
    (name) => expr.match(new RegExp(`(?<![\\w:])${name}(?![\\w:])(?:\\{[^}]*\\})?`, 'g')) ?? [],
  );
  return [...new Set(found)];
}
