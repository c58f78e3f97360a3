import type { EntityManager } from "@mikro-orm/core";
import type { JoinTokenDerivation, JoinTokenServerKeys } from "../../core/join/join-token-keys.js";
import type { ProcessRole, ServiceToken } from "../../core/plugin/contract.js";
import type { Transaction } from "../../core/plugin/database.js";
import type { Secret } from "../../core/plugin/secret.js";

/** What a join token can admit. */
export type JoinRole = Extract<ProcessRole, "node" | "proxy" | "identity">;

/** A join token as an administrator sees it. The secret itself is kept nowhere. */
export interface JoinToken {
  /** 16 bytes as 32 hex characters, derived from the token. */
  readonly id: string;
  /** What the administrator called it; unique among the active ones, `null` when unnamed. */
  readonly name: string | null;
  readonly roles: readonly JoinRole[];
  readonly createdBy: string;
  readonly createdAt: Date;
  readonly expiresAt: Date;
  /** `null` until it is used. */
  readonly usedAt: Date | null;
}

export interface NewJoinToken {
  readonly roles: readonly string[];
  readonly name?: string | null;
  /** 60 to 86,400 seconds; default 3,600. */
  readonly ttlSeconds?: number;
}

/** Who asked for a change, for the audit log. */
export interface TokenAuthor {
  readonly name: string;
  readonly roles: readonly string[];
  readonly sessionId?: string;
  readonly clientAddress?: string;
}

/** The join tokens of the cluster. On the auth service. */
export interface Tokens {
  /**
   * Makes a token. The secret (64 hex characters) is in the answer and nowhere else.
   * @throws {MezError} `INVALID_ARGUMENT` unknown role, no role, lifetime out of range; `ALREADY_EXISTS` for a name in use
   */
  create(request: NewJoinToken, author: TokenAuthor): Promise<{ readonly token: JoinToken; readonly secret: Secret }>;
  /**
   * Makes a token in the transaction of another change, e.g. of the agent identity that it is for. Writes no audit
   * record: the caller says in its own what the token is for.
   * @throws {MezError} as `create`
   */
  issue(
    tx: Transaction,
    request: NewJoinToken,
    author: Pick<TokenAuthor, "name">,
  ): Promise<{ readonly token: JoinToken; readonly secret: Secret }>;
  /** Deletes tokens, used or not, together with what they were for. Unknown ids are no error. */
  revoke(tx: Transaction, ids: readonly string[]): Promise<void>;
  /** Which of these tokens can still be used. */
  active(em: EntityManager, ids: readonly string[]): Promise<readonly JoinToken[]>;
  /** The server's keys of a token within its life, used or not; `null` for an unknown or expired one. */
  serverKeys(em: EntityManager, id: Buffer): Promise<JoinTokenServerKeys | null>;
  /**
   * Uses a token up in the transaction of the join. The same request again is granted again while the token lives.
   * @param requestHash SHA-256 of the request that the client signed.
   * @throws {MezError} `JOIN_REFUSED` for an unknown or expired token, and for one that another request has used
   */
  redeem(tx: Transaction, id: Buffer, requestHash: Buffer): Promise<JoinToken>;
}

export const TOKENS: ServiceToken<Tokens> = { id: "tokens", version: 1 };

/** Derives the keys of a token. Pure; in every role. */
export const JOIN_TOKEN_DERIVATION: ServiceToken<JoinTokenDerivation> = { id: "join-token-derivation", version: 1 };
