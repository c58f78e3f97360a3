import { randomUUID } from "node:crypto";
import { isMezError, MezError } from "../../core/errors/error.js";
import type { PortView } from "../../core/plugin/contract.js";
import type { Database, Transaction } from "../../core/plugin/database.js";
import { preparedTransaction } from "../../core/plugin/prepared-transaction.js";
import { type Guards, requireNoRefusal } from "../../core/ports/guard.js";
import type { JoinMethod } from "../../core/ports/join-method.js";
import type { Clock } from "../../core/time/clock.js";
import type { Locks } from "../locks/api.js";
import { MACHINE_INSTANCES_COLLECTION } from "../roles/api.js";
import { type AgentIdentity, type Instance, instanceEntryOf, machineNameOf } from "./agent-identity.js";
import * as repository from "./identity-repository.js";
import type { InstanceCertificateIssuer, InstanceCertificates } from "./instance-certificates.js";
import { type InstanceKeys, keysHashOf, parseInstanceKeys } from "./instance-keys.js";

/** Keys to be certified, for a life of so many seconds; 0 for the default. */
export interface CertificateOrder extends InstanceKeys {
  readonly ttlSeconds: number;
}

/** An order with the proof that it may be granted. */
export interface ProvenOrder {
  readonly method: string;
  readonly proof: Uint8Array;
  /** The bytes that `order` was read from. */
  readonly bytes: Uint8Array;
  readonly order: CertificateOrder;
  readonly serverFingerprint: Buffer | null;
  readonly clientAddress: string;
}

/** Who a presented X.509 certificate names. */
export interface PresentedInstance {
  readonly name: string;
  readonly instance: string;
  readonly generation: number;
}

export interface InstanceServiceParts {
  readonly database: Database;
  readonly clock: Clock;
  readonly issuer: InstanceCertificateIssuer;
  readonly methods: PortView<JoinMethod>;
  readonly guards: Guards;
  /** `null` where no plugin keeps locks. */
  readonly locks: Locks | null;
}

/** Makes instances of identities and renews their certificates. One transaction each, which no signature holds up. */
export class InstanceService {
  constructor(private readonly parts: InstanceServiceParts) {}

  /**
   * Redeems the proof and makes an instance. The same proof over the same keys gets the same answer again, until the
   * instance has gone on from there.
   * @throws {MezError} `JOIN_REFUSED`, `INVALID_ARGUMENT`, `ACCESS_DENIED` for a locked identity
   */
  async bootstrap({ order, ...join }: ProvenOrder): Promise<InstanceCertificates> {
    const keys = parseInstanceKeys(order);
    const keysHash = keysHashOf(keys);
    const method = this.#method(join.method);
    const instanceId = randomUUID();
    return preparedTransaction<InstanceCertificates, InstanceCertificates>(this.parts.database, async (tx, prepared) => {
      const grant = await method.redeem(tx, join.proof, join.bytes, join.serverFingerprint);
      const token = await repository.findToken(tx.em, grant.subject);
      const identity = token === null ? null : await repository.findIdentity(tx.em, token.identity);
      if (token === null || identity === null)
        throw new MezError("JOIN_REFUSED", "this token admits a proxy or a node, not an agent identity");
      requireNoRefusal(this.parts.guards, { agentIdentity: identity.name, roles: identity.roles });
      if (token.instanceId !== null) return this.#firstAnswer(tx, identity, token.instanceId, keysHash);
      const first = { instanceId, generation: 1 };
      const certificates = prepared([identity, first], () => this.parts.issuer.issue(identity, first, keys, order.ttlSeconds));
      const now = this.parts.clock.now();
      const instance: Instance = {
        ...{ id: instanceId, identity: identity.name, seenGeneration: 0, lockReason: "" },
        ...issued(certificates, keysHash),
        ...{ createdAt: now, lastSeen: now, address: join.clientAddress },
      };
      await repository.insertInstance(tx.em, instance);
      await repository.markTokenUsed(tx.em, token.tokenId, instanceId);
      tx.put(MACHINE_INSTANCES_COLLECTION, instanceId, instanceEntryOf(instance));
      audit(tx, "agent_identity.bootstrapped", identity, certificates, join.clientAddress);
      return certificates;
    });
  }

  /**
   * New certificates for new keys, one generation on. An answer that was lost is given again; any other request from an
   * older generation comes from a second holder of the certificate, and locks the instance. A generation that is ahead was
   * issued before the database was put back to an earlier state: it goes on from there.
   * @throws {MezError} `UNAUTHENTICATED` when the instance was deleted; `ACCESS_DENIED` for a copy, and for what is locked;
   * `INVALID_ARGUMENT`
   */
  async renew(presented: PresentedInstance, order: CertificateOrder, clientAddress: string): Promise<InstanceCertificates> {
    const keys = parseInstanceKeys(order);
    const keysHash = keysHashOf(keys);
    const { database, issuer } = this.parts;
    const outcome = await preparedTransaction<InstanceCertificates, Outcome>(database, async (tx, prepared) => {
      const { identity, instance } = await this.#existing(tx, presented);
      this.#requireUnlocked(identity, instance);
      if (instance.generation === presented.generation + 1 && instance.keysHash === keysHash)
        return JSON.parse(instance.answer) as InstanceCertificates;
      if (presented.generation < instance.generation) return this.#copied(tx, identity, instance, presented, clientAddress);
      const next = { instanceId: instance.id, generation: presented.generation + 1 };
      const certificates = prepared([identity, next], () => issuer.issue(identity, next, keys, order.ttlSeconds));
      await this.#store(tx, {
        ...instance,
        ...issued(certificates, keysHash),
        seenGeneration: presented.generation,
        lastSeen: this.parts.clock.now(),
        address: clientAddress,
      });
      const isBehind = instance.generation < presented.generation;
      const found = isBehind ? { generation_in_database: instance.generation } : {};
      audit(tx, "agent_identity.renewed", identity, certificates, clientAddress, found);
      return certificates;
    });
    // Thrown out here, so that the lock is committed.
    if (outcome === COPIED) throw lockedFor(presented.name, COPY_REASON);
    return outcome;
  }

  /** The machine uses the certificate that it presents: older ones are refused from now on. */
  async confirm(presented: PresentedInstance, clientAddress: string): Promise<void> {
    await this.parts.database.transaction(async (tx) => {
      const { instance } = await this.#existing(tx, presented);
      if (instance.generation !== presented.generation) return;
      await this.#store(tx, {
        ...instance,
        seenGeneration: presented.generation,
        lastSeen: this.parts.clock.now(),
        address: clientAddress,
      });
    });
  }

  #method(name: string): JoinMethod {
    try {
      return this.parts.methods.get(name);
    } catch (error) {
      if (!isMezError(error, "PLUGIN_NOT_ENABLED")) throw error;
      throw new MezError("JOIN_REFUSED", `join method "${name.slice(0, 40)}" is unknown here`);
    }
  }

  async #firstAnswer(
    tx: Transaction,
    identity: AgentIdentity,
    instanceId: string,
    keysHash: string,
  ): Promise<InstanceCertificates> {
    const instance = await repository.findInstance(tx.em, instanceId);
    if (instance !== null) this.#requireUnlocked(identity, instance);
    if (instance?.generation === 1 && instance.keysHash === keysHash) return JSON.parse(instance.answer) as InstanceCertificates;
    throw new MezError("JOIN_REFUSED", "the join was refused: the token is unknown, used or expired, or the proof is wrong", {
      detail: `the token made instance ${instanceId}, which has other keys by now`,
    });
  }

  async #existing(
    tx: Transaction,
    presented: PresentedInstance,
  ): Promise<{ readonly identity: AgentIdentity; readonly instance: Instance }> {
    const instance = await repository.findInstance(tx.em, presented.instance);
    const identity = instance === null ? null : await repository.findIdentity(tx.em, instance.identity);
    if (instance === null || identity === null || identity.name !== presented.name)
      throw new MezError("UNAUTHENTICATED", `${machineNameOf(presented.name)} was deleted from this cluster`);
    return { identity, instance };
  }

  /** In the transaction, because transactions have an order: what was locked before gets nothing. */
  #requireUnlocked({ name, roles }: AgentIdentity, { id, lockReason }: Instance): void {
    if (lockReason !== "") throw lockedFor(name, lockReason);
    requireNoRefusal(this.parts.guards, { agentIdentity: name, roles, instance: id });
  }

  async #store(tx: Transaction, instance: Instance): Promise<void> {
    await repository.updateInstance(tx.em, instance);
    tx.put(MACHINE_INSTANCES_COLLECTION, instance.id, instanceEntryOf(instance));
  }

  async #copied(
    tx: Transaction,
    identity: AgentIdentity,
    instance: Instance,
    presented: PresentedInstance,
    clientAddress: string,
  ): Promise<typeof COPIED> {
    const { locks } = this.parts;
    if (locks === null) await this.#store(tx, { ...instance, lockReason: COPY_REASON });
    else {
      const target = { type: "agent_identity_instance", name: instance.id } as const;
      await locks.place(tx, { target, message: COPY_REASON, ttlSeconds: null }, "agent-identities");
    }
    tx.audit({
      ...subjectOf(identity, clientAddress),
      type: "agent_identity.copied",
      success: false,
      errorMessage: COPY_REASON,
      metadata: {
        instance: instance.id,
        presented_generation: presented.generation,
        generation: instance.generation,
        addresses: [instance.address, clientAddress],
      },
    });
    return COPIED;
  }
}

// --- internal ---

const COPIED = Symbol("copied");
type Outcome = InstanceCertificates | typeof COPIED;
const COPY_REASON = "two holders of its certificate renewed it; delete what was copied and bootstrap with a new token";

function lockedFor(identity: string, why: string): MezError {
  return new MezError("ACCESS_DENIED", `this instance of ${machineNameOf(identity)} is locked: ${why}`);
}

function issued(certificates: InstanceCertificates, keysHash: string) {
  return {
    generation: certificates.generation,
    keysHash,
    answer: JSON.stringify(certificates),
    certificateSerial: certificates.sshSerial,
    certificateExpiresAt: new Date(certificates.expiresAt),
  };
}

function subjectOf({ name, roles }: AgentIdentity, clientIp: string) {
  return { userName: machineNameOf(name), userRoles: roles, clientIp, resourceType: "agent_identity", resourceName: name };
}

function audit(
  tx: Transaction,
  type: "agent_identity.bootstrapped" | "agent_identity.renewed",
  identity: AgentIdentity,
  { instanceId, generation, sshSerial, ttlSeconds }: InstanceCertificates,
  clientAddress: string,
  more: Readonly<Record<string, unknown>> = {},
): void {
  const metadata = { instance: instanceId, generation, ssh_serial: sshSerial, ttl_seconds: ttlSeconds, ...more };
  tx.audit({ ...subjectOf(identity, clientAddress), type, metadata });
}
