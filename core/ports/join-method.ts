import type { Port, ProcessRole } from "../plugin/contract.js";
import type { Transaction } from "../plugin/database.js";

/** What a method proved of the one who wants to join. */
export interface JoinGrant {
  readonly roles: readonly ProcessRole[];
  /** Names the proof in the audit log, e.g. the token's id. */
  readonly subject: string;
}

/** The server's half of one way to prove that an agent may join. */
export interface JoinMethod {
  /**
   * Checks the proof over `request` and uses it up in the transaction that stores the new agent. That transaction may be undone
   * and run again, so what is remembered of a proof is remembered in it and nowhere else.
   * @param proof The method's own message, from the client.
   * @param request The exact bytes of the request that the proof must cover.
   * @throws {MezError} `JOIN_REFUSED`, the same for unknown, used, expired and wrong.
   */
  redeem(tx: Transaction, proof: Uint8Array, request: Uint8Array, serverFingerprint: Buffer | null): Promise<JoinGrant>;
}

export const JOIN_METHOD: Port<JoinMethod> = { id: "join-method", version: 1, cardinality: "at-least-one" };
