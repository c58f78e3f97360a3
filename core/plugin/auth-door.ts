import type { Socket } from "node:net";
import type { ServiceToken } from "./contract.js";

/** The way from a proxy's public port to the gRPC server of the auth service, in this process or in another. */
export interface AuthDoor {
  /**
   * Hands a client's TCP connection over whole: its TLS is with the auth service, not with the proxy. Bytes that were read
   * to tell its protocol have been put back with `unshift`. A connection that cannot be handed over is closed.
   */
  accept(connection: Socket): void;
}

export const AUTH_DOOR: ServiceToken<AuthDoor> = { id: "core.auth-door", version: 1 };
