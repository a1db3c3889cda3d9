import { inject } from 'vitest';

/** What Triton itself has counted for a model since it was loaded: inferences done, over all versions. */
export async function inferenceCount(model: string): Promise<number> {
  const { ports } = inject('stack');
  const response = await fetch(`http://127.0.0.1:${ports.tritonHttp}/v2/models/${model}/stats`);
  const body = (await response.json()) as { model_stats: { inference_stats: { success: { count: number } } }[] };
  return body.model_stats.reduce((sum, { inference_stats }) => sum + inference_stats.success.count, 0);
}
