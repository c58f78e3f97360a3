import type { EntityManager } from "@mikro-orm/core";
import { MezError } from "../../core/errors/error.js";
import type { Database, Transaction } from "../../core/plugin/database.js";
import type { Secret } from "../../core/plugin/secret.js";
import { type Guards, guardRefusal } from "../../core/ports/guard.js";
import type { Clock } from "../../core/time/clock.js";
import type { Locks } from "../locks/api.js";
import {
  MACHINE_INSTANCES_COLLECTION,
  MACHINES_COLLECTION,
  type MachineInstanceEntry,
  type Roles,
  type UserEntry,
} from "../roles/api.js";
import type { TokenAuthor, Tokens } from "../tokens/api.js";
import {
  type AgentIdentity,
  checkIdentityName,
  type Instance,
  instanceEntryOf,
  isIdentityName,
  machineEntryOf,
  machineNameOf,
  printable,
} from "./agent-identity.js";
import * as repository from "./identity-repository.js";

/** An instance as an administrator sees it. */
export interface InstanceStatus extends Instance {
  readonly state: "active" | "expired" | "locked";
}

export interface IdentityStatus extends AgentIdentity {
  readonly instances: readonly InstanceStatus[];
  /** Tokens that can still be used. */
  readonly openTokens: number;
}

export interface NewIdentityToken {
  readonly identity: IdentityStatus;
  readonly tokenId: string;
  readonly secret: Secret;
  readonly expiresAt: Date;
}

export interface IdentityServiceParts {
  readonly database: Database;
  readonly clock: Clock;
  readonly roles: Roles;
  readonly tokens: Tokens;
  readonly guards: Guards;
  /** `null` where no plugin keeps locks. */
  readonly locks: Locks | null;
}

/** What administrators do with identities. One transaction each. */
export class IdentityService {
  constructor(private readonly parts: IdentityServiceParts) {}

  /**
   * @param tokenTtlSeconds 0 for the default of an hour.
   * @throws {MezError} `INVALID_ARGUMENT`, `ALREADY_EXISTS`, `ROLE_NOT_FOUND`
   */
  async create(name: string, roles: readonly string[], tokenTtlSeconds: number, author: TokenAuthor): Promise<NewIdentityToken> {
    checkIdentityName(name);
    if (roles.length > MAX_ROLES) throw new MezError("INVALID_ARGUMENT", `an identity can have ${MAX_ROLES} roles at most`);
    const identity: AgentIdentity = {
      name,
      roles: [...new Set(roles)].sort(),
      createdBy: author.name,
      createdAt: this.parts.clock.now(),
    };
    return this.parts.database.transaction(async (tx) => {
      if ((await repository.findIdentity(tx.em, name)) !== null)
        throw new MezError(
          "ALREADY_EXISTS",
          `there is an agent identity "${name}" already; remove it first, or make it one more token`,
        );
      await this.parts.roles.requireAll(tx, identity.roles);
      await repository.insertIdentity(tx.em, identity);
      tx.put(MACHINES_COLLECTION, machineNameOf(name), machineEntryOf(identity));
      const made = await this.#token(tx, identity, tokenTtlSeconds, author);
      audit(tx, "agent_identity.created", identity, author, { roles: identity.roles, ...about(made) });
      return made;
    });
  }

  /** One more token. @throws {MezError} `NOT_FOUND`, `INVALID_ARGUMENT` */
  async createToken(name: string, tokenTtlSeconds: number, author: TokenAuthor): Promise<NewIdentityToken> {
    return this.parts.database.transaction(async (tx) => {
      const identity = await existing(tx.em, name);
      const made = await this.#token(tx, identity, tokenTtlSeconds, author);
      audit(tx, "agent_identity.token_created", identity, author, about(made));
      return made;
    });
  }

  /** Sorted by name. */
  async list(): Promise<readonly IdentityStatus[]> {
    return this.parts.database.read(async (em) => {
      const identities = await repository.findIdentities(em);
      const instances = await repository.findInstances(em);
      const tokens = await repository.findTokens(em);
      const open = await this.#openTokens(em, tokens);
      return identities.map((identity) =>
        this.#status(
          identity,
          instances.filter((instance) => instance.identity === identity.name),
          tokens.filter((token) => token.identity === identity.name && open.has(token.tokenId)).length,
        ),
      );
    });
  }

  /** @throws {MezError} `NOT_FOUND` */
  async get(name: string): Promise<IdentityStatus> {
    return this.parts.database.read((em) => this.#read(em, name));
  }

  /**
   * Deletes an identity: its tokens, its instances, and with their entries the live sessions.
   * @throws {MezError} `NOT_FOUND`
   */
  async delete(name: string, author: TokenAuthor): Promise<void> {
    const { database, tokens, locks } = this.parts;
    await database.transaction(async (tx) => {
      const identity = await existing(tx.em, name);
      const instances = await repository.findInstances(tx.em, name);
      await tokens.revoke(
        tx,
        (await repository.findTokens(tx.em, name)).map(({ tokenId }) => tokenId),
      );
      await repository.deleteIdentity(tx.em, name);
      tx.remove(MACHINES_COLLECTION, machineNameOf(name));
      for (const { id } of instances) {
        tx.remove(MACHINE_INSTANCES_COLLECTION, id);
        await locks?.liftAll(tx, { type: "agent_identity_instance", name: id });
      }
      audit(tx, "agent_identity.deleted", identity, author, { instances: instances.length });
    });
  }

  /** Removes instances whose certificates expired a week ago. Takes the writer only when there is something to do. */
  async sweep(): Promise<number> {
    const { database, clock, locks } = this.parts;
    const before = new Date(clock.now().getTime() - EXPIRED_MEMORY_MS);
    const find = (em: EntityManager) => repository.findExpiredInstances(em, before);
    if ((await database.read(find)).length === 0) return 0;
    return database.transaction(async (tx) => {
      const expired = await find(tx.em);
      for (const { id } of expired) {
        await repository.deleteInstance(tx.em, id);
        tx.remove(MACHINE_INSTANCES_COLLECTION, id);
        await locks?.liftAll(tx, { type: "agent_identity_instance", name: id });
      }
      return expired.length;
    });
  }

  /** For the live copies. */
  async machineEntries(): Promise<readonly (readonly [string, UserEntry])[]> {
    const identities = await this.parts.database.read(repository.findIdentities);
    return identities.map((identity) => [machineNameOf(identity.name), machineEntryOf(identity)] as const);
  }

  /** For the live copies. */
  async instanceEntries(): Promise<readonly (readonly [string, MachineInstanceEntry])[]> {
    const instances = await this.parts.database.read((em) => repository.findInstances(em));
    return instances.map((instance) => [instance.id, instanceEntryOf(instance)] as const);
  }

  /** Identities that hold a role, so that it is not deleted under them. */
  async holdersOf(tx: Transaction, role: string): Promise<readonly string[]> {
    const identities = await repository.findIdentities(tx.em);
    return identities.filter(({ roles }) => roles.includes(role)).map(({ name }) => machineNameOf(name));
  }

  async #token(tx: Transaction, identity: AgentIdentity, ttlSeconds: number, author: TokenAuthor): Promise<NewIdentityToken> {
    const ttl = ttlSeconds === 0 ? {} : { ttlSeconds };
    const { token, secret } = await this.parts.tokens.issue(tx, { roles: ["identity"], ...ttl }, author);
    await repository.insertToken(tx.em, { tokenId: token.id, identity: identity.name, instanceId: null });
    return { identity: await this.#read(tx.em, identity.name), tokenId: token.id, secret, expiresAt: token.expiresAt };
  }

  async #read(em: EntityManager, name: string): Promise<IdentityStatus> {
    const identity = await existing(em, name);
    const tokens = await repository.findTokens(em, name);
    return this.#status(identity, await repository.findInstances(em, name), (await this.#openTokens(em, tokens)).size);
  }

  async #openTokens(em: EntityManager, tokens: readonly { readonly tokenId: string }[]): Promise<ReadonlySet<string>> {
    const active = await this.parts.tokens.active(
      em,
      tokens.map(({ tokenId }) => tokenId),
    );
    return new Set(active.map(({ id }) => id));
  }

  #status(identity: AgentIdentity, instances: readonly Instance[], openTokens: number): IdentityStatus {
    const now = this.parts.clock.now();
    const { name: agentIdentity, roles } = identity;
    const withState = instances.map((instance): InstanceStatus => {
      const refusal = guardRefusal(this.parts.guards, { agentIdentity, roles, instance: instance.id });
      const lockReason = instance.lockReason || (refusal?.message ?? "");
      const state = lockReason !== "" ? "locked" : instance.certificateExpiresAt <= now ? "expired" : "active";
      return { ...instance, lockReason, state };
    });
    return { ...identity, instances: withState, openTokens };
  }
}

// --- internal ---

const MAX_ROLES = 64;
const EXPIRED_MEMORY_MS = 7 * 86_400_000;

async function existing(em: EntityManager, name: string): Promise<AgentIdentity> {
  const identity = isIdentityName(name) ? await repository.findIdentity(em, name) : null;
  if (identity === null) throw new MezError("NOT_FOUND", `there is no agent identity "${printable(name)}"`);
  return identity;
}

function about({ tokenId, expiresAt }: NewIdentityToken): Readonly<Record<string, string>> {
  return { token_id: tokenId, token_expires_at: expiresAt.toISOString() };
}

function audit(
  tx: Transaction,
  type: "agent_identity.created" | "agent_identity.token_created" | "agent_identity.deleted",
  { name }: AgentIdentity,
  author: TokenAuthor,
  metadata: Readonly<Record<string, unknown>>,
): void {
  const { name: userName, roles: userRoles, sessionId, clientAddress: clientIp } = author;
  tx.audit({ type, userName, userRoles, sessionId, clientIp, resourceType: "agent_identity", resourceName: name, metadata });
}
