import { status } from '@grpc/grpc-js';
import { administer } from './admin-calls.js';
import type { PubSubChannel } from './channel.js';
import { codeOf } from './retrying.js';

/**
 * Which of these permissions the caller has for a topic or a subscription; none if it does not exist.
 * @param resource whole name, such as `projects/p/topics/t`
 * @returns undefined if the service cannot say, as the emulator cannot
 * @throws grpc-js's ServiceError
 */
export async function permitted(
  channel: PubSubChannel,
  resource: string,
  permissions: readonly string[],
): Promise<readonly string[] | undefined> {
  try {
    return (await administer(channel, 'TestIamPermissions', { resource, permissions })).permissions;
  } catch (error) {
    if (codeOf(error) === status.UNIMPLEMENTED) return undefined;
    throw error;
  }
}
