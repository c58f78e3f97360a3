import type { Caller } from "../plugin/caller.js";
import type { Port } from "../plugin/contract.js";

/** What a call brought along. */
export interface CallCredentials {
  /** The opaque token of `authorization: Bearer …`. */
  readonly bearerToken: string | null;
  /** DER of a client certificate that chains to the Host CA and is within its dates, or `null`. */
  readonly clientCertificate: Buffer | null;
  /**
   * DER of a client certificate that does not chain to the Host CA, or `null`. The client has proved to hold its key;
   * whoever uses it checks its authority and its dates.
   */
  readonly foreignCertificate?: Buffer | null;
  readonly clientAddress: string;
  /** How much has come over the connection since it was made; grows whenever the client gives a sign of life. Absent when not known. */
  readonly bytesRead?: number;
}

/** Turns credentials into a caller. */
export interface Authenticator {
  /**
   * @returns `null` when the credentials are not of this authenticator's kind.
   * @throws {MezError} `UNAUTHENTICATED` when they are, and do not hold.
   */
  authenticate(credentials: CallCredentials): Promise<Caller | null>;
}

export const AUTHENTICATOR: Port<Authenticator> = { id: "authenticator", version: 1, cardinality: "at-least-one" };
