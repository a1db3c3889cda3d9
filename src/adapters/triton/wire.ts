/** The messages of proto/*.proto in proto-loader's form (see LOADER_OPTIONS in channel.ts). */

/** Exactly one of them is set. */
export type InferParameter =
  | { readonly boolParam: boolean }
  | { readonly int64Param: number }
  | { readonly doubleParam: number }
  | { readonly stringParam: string };
export type InferParameters = Readonly<Record<string, InferParameter>>;

export interface InferTensor {
  readonly name: string;
  /** `UINT8`, `INT32`, … */
  readonly datatype: string;
  /** Includes the batch dimension, if the model batches. */
  readonly shape: readonly number[];
  readonly parameters?: InferParameters;
}

export interface ModelInferRequest {
  readonly modelName: string;
  readonly modelVersion: string;
  /** Only a stream needs one. The answer repeats it. */
  readonly id?: string;
  readonly parameters: InferParameters;
  readonly inputs: readonly InferTensor[];
  readonly outputs: readonly { readonly name: string; readonly parameters?: InferParameters }[];
  /** One entry per input, in the order of `inputs`. */
  readonly rawInputContents: readonly Buffer[];
}

export interface ModelInferResponse {
  readonly modelName: string;
  readonly modelVersion: string;
  readonly id: string;
  readonly outputs: readonly InferTensor[];
  /** One entry per output, in the order of `outputs`. */
  readonly rawOutputContents: readonly Buffer[];
}

export interface ModelStreamInferResponse {
  /** If not empty, the request failed, and only the id of `inferResponse` is valid. */
  readonly errorMessage: string;
  readonly inferResponse: ModelInferResponse | null;
}

export interface ModelIndex {
  readonly name: string;
  /** Empty for a model that was never loaded. */
  readonly version: string;
  /** `READY`, `LOADING`, `UNLOADING`, `UNAVAILABLE`, `UNKNOWN`, or empty for a model that was never loaded. */
  readonly state: string;
  readonly reason: string;
}

export interface ModelTensorConfig {
  readonly name: string;
  /** With its prefix: `TYPE_UINT8`. */
  readonly dataType: string;
  /** Without the batch dimension. */
  readonly dims: readonly number[];
  /** Only for inputs. */
  readonly optional?: boolean;
}

export interface ModelInstanceGroup {
  /** Instances on each of `gpus`; in all, if there are none. */
  readonly count: number;
  readonly gpus: readonly number[];
  readonly kind: 'KIND_AUTO' | 'KIND_GPU' | 'KIND_CPU' | 'KIND_MODEL';
}

export interface ModelConfig {
  readonly name: string;
  readonly backend: string;
  readonly maxBatchSize: number;
  readonly input: readonly ModelTensorConfig[];
  readonly output: readonly ModelTensorConfig[];
  readonly instanceGroup: readonly ModelInstanceGroup[];
  readonly dynamicBatching?: ModelDynamicBatching | null;
  readonly parameters: Readonly<Record<string, { readonly stringValue: string }>>;
  readonly modelTransactionPolicy: { readonly decoupled: boolean } | null;
}

export interface ModelQueuePolicy {
  readonly defaultTimeoutMicroseconds: number;
  readonly maxQueueSize: number;
}

export interface ModelDynamicBatching {
  readonly maxQueueDelayMicroseconds: number;
  readonly priorityLevels: number;
  readonly defaultQueuePolicy: ModelQueuePolicy | null;
  readonly priorityQueuePolicy: Readonly<Record<string, ModelQueuePolicy>>;
}

/** `ns` is the sum over `count`. */
export interface StatisticDuration {
  readonly count: number;
  readonly ns: number;
}

export interface ModelStatistics {
  readonly name: string;
  readonly version: string;
  readonly inferenceCount: number;
  readonly batchStats: readonly {
    readonly batchSize: number;
    readonly computeInput: StatisticDuration | null;
    readonly computeInfer: StatisticDuration | null;
    readonly computeOutput: StatisticDuration | null;
  }[];
}

type Nothing = Readonly<Record<string, never>>;
interface ModelVersion {
  readonly name: string;
  readonly version: string;
}

/** The unary methods, with their request and response types. */
export interface Methods {
  ServerLive: { request: Nothing; response: { readonly live: boolean } };
  ServerReady: { request: Nothing; response: { readonly ready: boolean } };
  ServerMetadata: {
    request: Nothing;
    response: { readonly name: string; readonly version: string; readonly extensions: readonly string[] };
  };
  ModelReady: { request: ModelVersion; response: { readonly ready: boolean } };
  ModelConfig: { request: ModelVersion; response: { readonly config: ModelConfig | null } };
  ModelStatistics: { request: ModelVersion; response: { readonly modelStats: readonly ModelStatistics[] } };
  ModelInfer: { request: ModelInferRequest; response: ModelInferResponse };
  RepositoryIndex: { request: { readonly ready: boolean }; response: { readonly models: readonly ModelIndex[] } };
  RepositoryModelLoad: { request: { readonly modelName: string }; response: Nothing };
  RepositoryModelUnload: { request: { readonly modelName: string }; response: Nothing };
  SystemSharedMemoryStatus: {
    request: { readonly name: string };
    response: { readonly regions: Readonly<Record<string, unknown>> };
  };
  SystemSharedMemoryRegister: {
    request: { readonly name: string; readonly key: string; readonly offset: number; readonly byteSize: number };
    response: Nothing;
  };
  SystemSharedMemoryUnregister: { request: { readonly name: string }; response: Nothing };
}
