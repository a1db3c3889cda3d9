/**
 * The cause in the message of a call that found no connection, such as `round_robin: No connection established. Last error:
 * Error: connect ECONNREFUSED 127.0.0.1:8001. Resolution note: `.
 * @param details of grpc-js's ServiceError
 */
export function reasonIn(details: string): string {
  return /.*Last error: (?:Error: )?(.+?)\. Resolution note:/s.exec(details)?.[1] ?? details;
}
