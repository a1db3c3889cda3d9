import { status } from '@grpc/grpc-js';

/** An error that the server answers with. */
export class Refusal extends Error {
  /** By this name grpc-js takes the text that the client gets. */
  readonly details: string;

  constructor(
    readonly code: status,
    details: string,
  ) {
    super(details);
    this.details = details;
  }
}

export const invalid = (details: string): Refusal => new Refusal(status.INVALID_ARGUMENT, details);
export const notFound = (name: string): Refusal =>
  new Refusal(status.NOT_FOUND, `Resource not found (resource=${lastPart(name)}).`);
export const alreadyExists = (name: string): Refusal =>
  new Refusal(status.ALREADY_EXISTS, `Resource already exists in the project (resource=${lastPart(name)}).`);
/** For what the service has and this server does not. */
export const unimplemented = (what: string): Refusal =>
  new Refusal(status.UNIMPLEMENTED, `The embedded Pub/Sub does not implement ${what}.`);

const lastPart = (name: string): string => name.slice(name.lastIndexOf('/') + 1);
