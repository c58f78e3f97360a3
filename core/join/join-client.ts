import type { RpcConnection } from "../plugin/rpc.js";
import type { Secret } from "../plugin/secret.js";

/** What the token is redeemed for: a proxy or node, or an instance of an agent identity. */
export type JoinKind = "agent" | "identity";

export interface JoinOptions {
  /** `host:port` of the auth service, tried in order. */
  readonly addresses: readonly string[];
  readonly token: Secret;
  readonly kind: JoinKind;
  readonly signal?: AbortSignal;
}

/** A server that has proved to know the token, over a connection whose certificate it vouched for. */
export interface JoinAttempt {
  /** Name of the join method, for `GenerateHostCerts`. */
  readonly method: string;
  /** The Host CA certificates of the cluster, PEM. Proven: they may be kept and trusted. */
  readonly trustPem: readonly string[];
  /** Connection for the one call that redeems the token. Belongs to the attempt. */
  readonly connection: RpcConnection;
  /**
   * Signs for `request`, the exact bytes that will be sent.
   * @throws {MezError} `JOIN_SERVER_UNPROVEN` when the server's certificate is no longer the one that was proven
   */
  prove(request: Uint8Array): Promise<Uint8Array>;
  close(): void;
}

/** The client's half of joining with a token. The token never leaves this process. */
export interface JoinClient {
  /**
   * Steps 1 to 3 of the protocol: asks the server to prove itself, and checks the proof.
   * @throws {MezError} `JOIN_SERVER_UNPROVEN` when the server does not know the token or someone stands between;
   * `UNAVAILABLE`; `INVALID_ARGUMENT` for a token that is not 64 hex characters
   */
  begin(options: JoinOptions): Promise<JoinAttempt>;
}
