import { timingSafeEqual } from "node:crypto";
import type { EntityManager } from "@mikro-orm/core";
import { MezError } from "../../core/errors/error.js";
import { deriveJoinTokenKeys, generateJoinToken, type JoinTokenServerKeys } from "../../core/join/join-token-keys.js";
import type { Database, Transaction } from "../../core/plugin/database.js";
import type { Secret } from "../../core/plugin/secret.js";
import type { Clock } from "../../core/time/clock.js";
import type { JoinToken, NewJoinToken, TokenAuthor, Tokens } from "./api.js";
import { isExpired, planJoinToken } from "./join-token.js";
import {
  deleteExpiredTokens,
  deleteToken,
  findActiveTokens,
  findToken,
  hasExpiredTokens,
  insertToken,
  markUsed,
} from "./token-repository.js";

/** The use cases of join tokens, one transaction each. */
export class TokenService implements Tokens {
  constructor(
    private readonly database: Database,
    private readonly clock: Clock,
  ) {}

  create(request: NewJoinToken, author: TokenAuthor): Promise<NewToken> {
    return this.database.transaction(async (tx) => {
      const made = await this.issue(tx, request, author);
      audit(tx, "token.created", made.token, author);
      return made;
    });
  }

  async issue(tx: Transaction, request: NewJoinToken, author: Pick<TokenAuthor, "name">): Promise<NewToken> {
    const { roles, name, ttlSeconds } = planJoinToken(request);
    const secret = generateJoinToken();
    const keys = deriveJoinTokenKeys(secret);
    const createdAt = this.clock.now();
    const expiresAt = new Date(createdAt.getTime() + ttlSeconds * 1000);
    const token: JoinToken = {
      id: keys.id.toString("hex"),
      name,
      roles,
      createdBy: author.name,
      createdAt,
      expiresAt,
      usedAt: null,
    };
    if (name !== null && (await this.#active(tx)).some((other) => other.name === name)) {
      throw new MezError("ALREADY_EXISTS", `a join token named "${name}" is active; delete it or choose another name`);
    }
    await insertToken(tx.em, { token, keys, requestHash: null });
    return { token, secret };
  }

  async revoke(tx: Transaction, ids: readonly string[]): Promise<void> {
    for (const id of ids) await deleteToken(tx.em, id);
  }

  async active(em: EntityManager, ids: readonly string[]): Promise<readonly JoinToken[]> {
    return (await findActiveTokens(em, this.clock.now())).filter(({ id }) => ids.includes(id));
  }

  /** Tokens that can still be used, newest first. */
  async list(): Promise<readonly JoinToken[]> {
    return this.database.read((em) => findActiveTokens(em, this.clock.now()));
  }

  /** @throws {MezError} `NOT_FOUND` */
  async delete(nameOrId: string, author: TokenAuthor): Promise<JoinToken> {
    return this.database.transaction(async (tx) => {
      const token = (await this.#active(tx)).find((active) => active.id === nameOrId || active.name === nameOrId);
      if (token === undefined)
        throw new MezError("NOT_FOUND", `there is no active join token with name or id "${nameOrId.slice(0, 80)}"`);
      await deleteToken(tx.em, token.id);
      audit(tx, "token.deleted", token, author);
      return token;
    });
  }

  async serverKeys(em: EntityManager, id: Buffer): Promise<JoinTokenServerKeys | null> {
    const stored = await findToken(em, id.toString("hex"));
    return stored === null || isExpired(stored.token, this.clock.now()) ? null : stored.keys;
  }

  async redeem(tx: Transaction, id: Buffer, requestHash: Buffer): Promise<JoinToken> {
    const stored = await findToken(tx.em, id.toString("hex"));
    const now = this.clock.now();
    if (stored === null) throw refusal("unknown token");
    if (isExpired(stored.token, now)) throw refusal(`token ${stored.token.id} has expired`);
    if (await markUsed(tx.em, stored.token.id, now, requestHash)) return { ...stored.token, usedAt: now };
    if (stored.requestHash === null || !timingSafeEqual(stored.requestHash, requestHash))
      throw refusal(`token ${stored.token.id} was used for other keys`);
    return stored.token;
  }

  /** Removes what has expired. Takes the writer only when there is something to do. */
  async sweep(): Promise<number> {
    const now = this.clock.now();
    if (!(await this.database.read((em) => hasExpiredTokens(em, now)))) return 0;
    return this.database.transaction((tx) => deleteExpiredTokens(tx.em, now));
  }

  #active(tx: Transaction): Promise<readonly JoinToken[]> {
    return findActiveTokens(tx.em, this.clock.now());
  }
}

// --- internal ---

interface NewToken {
  readonly token: JoinToken;
  readonly secret: Secret;
}

function refusal(detail: string): MezError {
  return new MezError("JOIN_REFUSED", "the join was refused: the token is unknown, used or expired, or the proof is wrong", {
    detail,
  });
}

function audit(tx: Transaction, type: "token.created" | "token.deleted", token: JoinToken, author: TokenAuthor): void {
  tx.audit({
    type,
    userName: author.name,
    userRoles: author.roles,
    sessionId: author.sessionId,
    clientIp: author.clientAddress,
    resourceType: "token",
    resourceName: token.name ?? token.id,
    metadata: { token_id: token.id, roles: token.roles, expires_at: token.expiresAt.toISOString() },
  });
}
