import {
  type Metadata,
  ServerInterceptingCall,
  type ServerInterceptingCallInterface,
  type ServerInterceptor,
} from "@grpc/grpc-js";

/** The longest message of one who has not shown who he is, for the server's options: nothing that may be asked without is near that. */
export const MAX_STRANGERS_MESSAGE_BYTES = 64 * 1024;
/** Of everybody else. */
export const MAX_MESSAGE_BYTES = 4 * 1024 * 1024;

/** A call of which nothing but the headers has been read. */
export interface UnreadCall {
  readonly path: string;
  /** As gRPC names the connection. */
  readonly peer: string;
  readonly metadata: Metadata;
}

/**
 * Reads long messages of those alone who have shown who they are; nothing of a call is read before that is known.
 * @param isMachine Whether the client of a connection has proven itself in its TLS handshake.
 * @param isKnown Whether a call is one that wants credentials, and has brought good ones. Never rejects.
 */
export function limitMessages(
  isMachine: (peer: string) => boolean,
  isKnown: (call: UnreadCall) => Promise<boolean>,
): ServerInterceptor {
  return ({ path }, call) => {
    const peer = call.getPeer();
    if (isMachine(peer)) {
      allowLong(call);
      // Whatever takes calls is good enough, though the type asks for one that was wrapped.
      return call as ServerInterceptingCall;
    }
    return new ServerInterceptingCall(call, {
      start: (next) =>
        next({
          onReceiveMetadata: (metadata, read) =>
            void isKnown({ path, peer, metadata }).then((known) => {
              if (known) allowLong(call);
              read(metadata);
            }),
        }),
    });
  };
}

// --- internal ---

/**
 * What a call of grpc-js 1.14.7 keeps its limits in, as it came and unpacked. The library has one option, for all calls of a server,
 * and an interceptor sees a message when all of it has been read; so the option is the limit of strangers, and these two raise it.
 */
interface LimitedCall {
  maxReceiveMessageSize: number;
  readonly decoder: { maxReadMessageLength: number };
}

/** With another release of the library, long messages may be refused; nobody's limit goes. */
function allowLong(call: ServerInterceptingCallInterface): void {
  if (!isLimited(call)) return;
  call.maxReceiveMessageSize = MAX_MESSAGE_BYTES;
  call.decoder.maxReadMessageLength = MAX_MESSAGE_BYTES;
}

function isLimited(call: object): call is LimitedCall {
  const { maxReceiveMessageSize, decoder } = call as Partial<LimitedCall>;
  return typeof maxReceiveMessageSize === "number" && typeof decoder?.maxReadMessageLength === "number";
}
