import type { Caller, Permission } from "./caller.js";

/** One method of a generated gRPC service definition (ts-proto, `outputServices=grpc-js`). */
export interface RpcMethod<Request, Response> {
  readonly path: string;
  readonly requestStream: boolean;
  readonly responseStream: boolean;
  requestSerialize(value: Request): Buffer;
  requestDeserialize(value: Buffer): Request;
  responseSerialize(value: Response): Buffer;
  responseDeserialize(value: Buffer): Response;
}

/** A method with one request and one response. */
export type UnaryRpcMethod<Request, Response> = RpcMethod<Request, Response> & {
  readonly requestStream: false;
  readonly responseStream: false;
};

/** A service as a value: its methods by name, of any messages. */
export type RpcDefinition = { readonly [method: string]: RpcMethod<unknown, unknown> };

/** A gRPC service and who may call each of its methods; `public` needs no credentials at all. */
export interface RpcService<Definition extends RpcDefinition> {
  /** Full name, e.g. `mezite.locks.v1.LockService`. */
  readonly name: string;
  readonly definition: Definition;
  readonly permissions: { readonly [Method in keyof Definition]: Permission | "public" };
  /** Methods with one answer that can wait while much goes on: calls that machines make by themselves, and make again. */
  readonly background?: readonly (keyof Definition)[];
  /** `FileDescriptorSet` of the service and its messages, for commands that the manifest describes. `rpcService` makes it. */
  readonly descriptor?: Uint8Array;
}

/** What a handler may know of the call besides its request. */
export interface CallContext {
  readonly caller: Caller;
  /** Address of the client without its port, e.g. `192.0.2.7`. */
  readonly clientAddress: string;
  /** SHA-256 of the DER of the TLS certificate that this server presented, `null` on a connection without TLS. */
  readonly serverFingerprint: Buffer | null;
  /** Aborted when the client goes away or the deadline passes. */
  readonly signal: AbortSignal;
}

type RequestOf<M> = M extends { requestDeserialize: (value: Buffer) => infer Request } ? Request : never;
type ResponseOf<M> = M extends { responseDeserialize: (value: Buffer) => infer Response } ? Response : never;

type HandlerOf<M> = M extends { requestStream: false; responseStream: false }
  ? (request: RequestOf<M>, call: CallContext) => Promise<ResponseOf<M>>
  : M extends { requestStream: false; responseStream: true }
    ? (request: RequestOf<M>, call: CallContext) => AsyncIterable<ResponseOf<M>>
    : M extends { requestStream: true; responseStream: false }
      ? (requests: AsyncIterable<RequestOf<M>>, call: CallContext) => Promise<ResponseOf<M>>
      : (requests: AsyncIterable<RequestOf<M>>, call: CallContext) => AsyncIterable<ResponseOf<M>>;

/** The handlers of a service: promises and async iterables, no grpc-js types. */
export type RpcHandlers<Definition extends RpcDefinition> = {
  readonly [Method in keyof Definition]: HandlerOf<Definition[Method]>;
};

export interface CallOptions {
  readonly signal?: AbortSignal;
  /** Default 20 s for calls without streams; streams have none. */
  readonly timeoutMs?: number;
}

type ClientMethodOf<M> = M extends { requestStream: false; responseStream: false }
  ? (request: RequestOf<M>, options?: CallOptions) => Promise<ResponseOf<M>>
  : M extends { requestStream: false; responseStream: true }
    ? (request: RequestOf<M>, options?: CallOptions) => AsyncIterable<ResponseOf<M>>
    : M extends { requestStream: true; responseStream: false }
      ? (requests: AsyncIterable<RequestOf<M>>, options?: CallOptions) => Promise<ResponseOf<M>>
      : (requests: AsyncIterable<RequestOf<M>>, options?: CallOptions) => AsyncIterable<ResponseOf<M>>;

/** The client's side of a service. Failures are `MezError`s with the code that the server threw. */
export type RpcClient<Definition extends RpcDefinition> = {
  readonly [Method in keyof Definition]: ClientMethodOf<Definition[Method]>;
};

/** A connection to the auth service. Connects at the first call, and again after a failure. */
export interface RpcConnection {
  client<Definition extends RpcDefinition>(definition: Definition): RpcClient<Definition>;
  /** SHA-256 of the DER of the server's TLS certificate as this side sees it; connects when needed. */
  serverFingerprint(): Promise<Buffer>;
  /**
   * SHA-256 of the SubjectPublicKeyInfo of the authority that signed the certificates of all servers that this connection has met.
   * `null` when the certificate was not checked, when none of the trusted authorities signed it itself, and when there were
   * different ones. To be asked after a call.
   */
  serverAuthority(): Buffer | null;
  /** For whoever waits for a sign of life in vain: with several addresses, the next call begins at the next one. */
  moveOn?(): void;
  close(): void;
}
