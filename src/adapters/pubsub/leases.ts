/**
 * Observes leases. The client extends them by itself and does not report it. But it accepts a gRPC interceptor with the
 * options of its calls, and the interceptor sees each request and its answer. If the service has not confirmed a lease for
 * longer than its length, the lease has expired, even if the client still holds it.
 */
import { InterceptingCall, type Interceptor, ListenerBuilder, RequesterBuilder, status } from '@grpc/grpc-js';

export interface LeaseEvents {
  /** The service has confirmed an extension for a message in work. */
  readonly extended?: () => void;
  /** The lease of a message in work has expired. Called once per message. */
  readonly lost?: () => void;
}

export interface Leases {
  /** For the client's acknowledge and extend calls. */
  readonly interceptor: Interceptor;
  /** A message has arrived. */
  begin(ackId: string): void;
  /** The message has been acked or nacked. */
  end(ackId: string): void;
}

interface Lease {
  endsAt: number;
  /** The client confirms every receipt with an extension. That one does not count. */
  receiptSeen: boolean;
  lost: boolean;
}

/** The client's request, with only the fields used here. */
interface ModifyAckDeadline {
  readonly ackIds: readonly string[];
  readonly ackDeadlineSeconds: number;
}

/**
 * @param seconds of the lease that a delivery gives a message
 * @param now milliseconds on a monotonic clock
 */
export function createLeases(
  seconds: number,
  events: LeaseEvents,
  now: () => number = () => performance.now(),
): Leases {
  const leases = new Map<string, Lease>();

  function lookAt(time: number, lease: Lease): void {
    if (lease.lost || time <= lease.endsAt) return;
    lease.lost = true;
    events.lost?.();
  }

  function confirmed({ ackIds, ackDeadlineSeconds }: ModifyAckDeadline, sentAt: number): void {
    if (ackDeadlineSeconds <= 0) return; // a nack
    for (const ackId of ackIds) {
      const lease = leases.get(ackId);
      if (!lease) continue;
      lookAt(sentAt, lease);
      lease.endsAt = sentAt + ackDeadlineSeconds * 1000;
      if (lease.receiptSeen) events.extended?.();
      lease.receiptSeen = true;
    }
  }

  return {
    interceptor: (options, next) => {
      if (!options.method_definition.path.endsWith('/ModifyAckDeadline')) return new InterceptingCall(next(options));
      let request: ModifyAckDeadline | undefined;
      let sentAt = 0;
      const onStatus = new ListenerBuilder().withOnReceiveStatus((answer, pass) => {
        if (answer.code === status.OK && request) confirmed(request, sentAt);
        pass(answer);
      });
      const requester = new RequesterBuilder()
        .withStart((metadata, _listener, start) => start(metadata, onStatus.build()))
        .withSendMessage((message: ModifyAckDeadline, send) => {
          request = message;
          sentAt = now();
          send(message);
        });
      return new InterceptingCall(next(options), requester.build());
    },
    begin: (ackId) => leases.set(ackId, { endsAt: now() + seconds * 1000, receiptSeen: false, lost: false }),
    end(ackId) {
      const lease = leases.get(ackId);
      if (lease) lookAt(now(), lease);
      leases.delete(ackId);
    },
  };
}
