package io.grpc;

/**
 * The emulator's jar (0.8.20) holds an io.grpc.InternalStatus that is older than the io.grpc.internal.ServerImpl beside
 * it, which calls a method that is not there whenever a stream ends: so the emulator never hears that a subscriber has
 * gone, and goes on handing messages to it. This is the class with that method added, for the class path before the jar.
 *
 *   javac --release 17 -g:none -cp cloud-pubsub-emulator-0.8.20-all.jar InternalStatus.java
 */
public final class InternalStatus {
  public static final Metadata.Key<String> MESSAGE_KEY = Status.MESSAGE_KEY;
  public static final Metadata.Key<Status> CODE_KEY = Status.CODE_KEY;

  private InternalStatus() {}

  public static StatusRuntimeException asRuntimeExceptionWithoutStacktrace(Status status, Metadata trailers) {
    return new StatusRuntimeException(status, trailers);
  }

  public static StatusRuntimeException asRuntimeException(Status status, Metadata trailers, boolean fillInStackTrace) {
    return new StatusRuntimeException(status, trailers);
  }
}
