/** The few calls of Kubernetes' API that a kubelet needs. */
import { Agent, request } from 'undici';
import type { ApiServer } from '../../dev/k8s/api-server.js';

export interface Pod {
  readonly metadata: {
    readonly uid: string;
    readonly name: string;
    readonly labels: Readonly<Record<string, string>>;
    readonly deletionTimestamp?: string;
  };
}

export interface PodEvent {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK' | 'ERROR';
  readonly object: Pod;
}

type Method = 'POST' | 'PATCH' | 'DELETE';

export class Api {
  // The server has made its certificate itself, and no call of a watch ends by a time limit.
  readonly #agent = new Agent({ connect: { rejectUnauthorized: false }, bodyTimeout: 0 });
  readonly #pods: string;

  constructor(
    private readonly server: Pick<ApiServer, 'url' | 'token'>,
    namespace: string,
  ) {
    this.#pods = `/api/v1/namespaces/${namespace}/pods`;
  }

  /** All pods that are there, then each change of one, until the signal. */
  async *watchPods(signal: AbortSignal): AsyncGenerator<PodEvent> {
    const { body } = await this.#request('GET', `${this.#pods}?watch=true`, undefined, signal);
    let text = '';
    for await (const chunk of body as AsyncIterable<Buffer>) {
      const lines = (text + chunk.toString('utf8')).split('\n');
      text = lines.pop() ?? '';
      for (const line of lines) yield JSON.parse(line) as PodEvent;
    }
  }

  /** As the scheduler does. @returns false where the pod is no longer there */
  bind(name: string, node: string): Promise<boolean> {
    const body = { apiVersion: 'v1', kind: 'Binding', metadata: { name }, target: { kind: 'Node', name: node } };
    return this.#call('POST', `${this.#pods}/${name}/binding`, body);
  }

  /** @returns false where the pod is no longer there */
  setStatus(name: string, status: object): Promise<boolean> {
    return this.#call('PATCH', `${this.#pods}/${name}/status`, { status });
  }

  /** As a kubelet does when the last container has ended. */
  remove(name: string): Promise<boolean> {
    return this.#call('DELETE', `${this.#pods}/${name}`, { gracePeriodSeconds: 0 });
  }

  close(): Promise<void> {
    return this.#agent.destroy();
  }

  async #call(method: Method, path: string, body: object): Promise<boolean> {
    const answer = await this.#request(method, path, body);
    const text = await answer.body.text();
    if (answer.statusCode < 300) return true;
    if (answer.statusCode === 404 || answer.statusCode === 409) return false;
    throw new Error(`${method} ${path}: ${answer.statusCode} ${text}`);
  }

  #request(method: Method | 'GET', path: string, body?: object, signal?: AbortSignal) {
    const type = method === 'PATCH' ? 'application/strategic-merge-patch+json' : 'application/json';
    return request(`${this.server.url}${path}`, {
      ...{ method, dispatcher: this.#agent, body: body === undefined ? null : JSON.stringify(body) },
      headers: { authorization: `Bearer ${this.server.token}`, 'content-type': type },
      ...(signal && { signal }),
    });
  }
}
