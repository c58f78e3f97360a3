import type { ServiceToken } from "./contract.js";
import type { RpcConnection } from "./rpc.js";
import type { Secret } from "./secret.js";

/** A client certificate and its key, PEM. */
export interface TlsIdentity {
  readonly certificatePem: string;
  readonly privateKeyPem: Secret;
}

/** How the server's certificate is judged. `none` is for the joining protocol, which proves the server by other means. */
export type ServerTrust =
  | { readonly kind: "authorities"; readonly certificatesPem: readonly string[] }
  | { readonly kind: "system" }
  | { readonly kind: "none" };

/** Remembers which of several servers answered last. What it says is a hint: it may be out of date. */
export interface AnsweredMemory {
  /** `null` when nothing is remembered. */
  last(): string | null;
  note(address: string): void;
}

/** For how long a call is made again while every server refuses it at its door, because it can serve nobody for now. */
export interface ServingPatience {
  readonly seconds: number;
  /** Called before the first time that is waited for, with what the server said. */
  readonly onWait: (reason: string) => void;
  readonly signal: AbortSignal;
}

/** Where to, by what the servers are judged, and as whom. */
export interface DialOptions {
  /** `host:port`, tried in order: at first, and from the one after a server that does not answer. */
  readonly addresses: readonly string[];
  readonly trust: ServerTrust;
  readonly identity?: TlsIdentity;
  /** Keeps which of several addresses answered, from one process to the next. */
  readonly answered?: AnsweredMemory;
  /** Default: none, a refusal is the caller's to deal with. */
  readonly patience?: ServingPatience;
  /** Sent as `authorization: Bearer …` with each call. */
  readonly token?: Secret;
}

/** Opens gRPC connections to an auth service. */
export interface RpcDialer {
  dial(options: DialOptions): RpcConnection;
}

export const RPC_DIALER: ServiceToken<RpcDialer> = { id: "core.rpc-dialer", version: 1 };
