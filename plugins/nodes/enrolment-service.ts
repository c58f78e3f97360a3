import { createHash, randomUUID } from "node:crypto";
import { isMezError, MezError } from "../../core/errors/error.js";
import type { PortView } from "../../core/plugin/contract.js";
import type { Database, Transaction } from "../../core/plugin/database.js";
import { type Prepared, preparedTransaction } from "../../core/plugin/prepared-transaction.js";
import { type Guards, requireNoRefusal } from "../../core/ports/guard.js";
import type { JoinMethod } from "../../core/ports/join-method.js";
import type { Clock } from "../../core/time/clock.js";
import { type Agent, type AgentRole, parseAgentName, parseAgentRole, parsePublicAddresses } from "./agent.js";
import { auditAgentChange, publishAgent } from "./agent-publication.js";
import * as repository from "./agent-repository.js";
import { requireFreeAddresses, requireFreeName, requireNoOpenSshNode } from "./free-name.js";
import type { HostCertificateIssuer, HostCertificates } from "./host-certificates.js";
import { type HostPublicKeys, parseHostPublicKeys } from "./host-keys.js";
import { readJoinAnswer, writeJoinAnswer } from "./join-answer.js";

/** What an agent asks for when it joins. */
export interface JoinRequest {
  readonly name: string;
  readonly role: string;
  readonly keys?: HostPublicKeys;
  readonly publicAddresses: readonly string[];
}

/** A request with the proof that it may be granted. */
export interface ProvenJoin {
  readonly method: string;
  readonly proof: Uint8Array;
  /** The bytes that `request` was read from. */
  readonly bytes: Uint8Array;
  readonly request: JoinRequest;
  readonly serverFingerprint: Buffer | null;
  readonly clientAddress: string;
}

/** Agents of this process, which need no proof. */
export interface LocalAgent {
  readonly name: string;
  readonly role: AgentRole;
  readonly keys: HostPublicKeys;
  readonly publicAddresses: readonly string[];
}

/** Takes agents into the cluster and renews their certificates. */
export class EnrolmentService {
  constructor(
    private readonly database: Database,
    private readonly clock: Clock,
    private readonly issuer: HostCertificateIssuer,
    private readonly methods: PortView<JoinMethod>,
    private readonly guards: Guards,
  ) {}

  /**
   * Redeems the proof and stores the new agent, in one transaction. The same proof over the same request gets the same
   * answer again, as long as the method grants it and the agent has not been removed.
   * @throws {MezError} `JOIN_REFUSED`, `INVALID_ARGUMENT`, `ALREADY_EXISTS` for a name in use; `ACCESS_DENIED` by a guard
   */
  async join(join: ProvenJoin): Promise<HostCertificates> {
    const { name, role, keys, publicAddresses } = checked(join.request);
    const method = this.#method(join.method);
    const requestHash = createHash("sha256").update(join.bytes).digest("base64");
    const id = randomUUID();
    return this.#transaction(async (tx, prepared) => {
      requireNoRefusal(this.guards, { agent: name });
      const grant = await method.redeem(tx, join.proof, join.bytes, join.serverFingerprint);
      if (!grant.roles.includes(role))
        throw new MezError("JOIN_REFUSED", `this token admits ${grant.roles.join(" and ")}, not ${role}`);
      const proof = `${join.method}:${grant.subject}`;
      const earlier = await repository.findJoin(tx.em, proof);
      if (earlier !== null) return this.#again(tx, earlier, requestHash);
      await requireFreeName(tx, role, name, publicAddresses);
      const subject = { id, name, role, publicAddresses };
      const certificates = prepared(subject, () => this.issuer.issue(subject, keys));
      const agent = await this.#admit(tx, subject, certificates, proof);
      const now = this.clock.now();
      await repository.deleteJoinsBefore(tx.em, new Date(now.getTime() - JOIN_MEMORY_MS));
      await repository.insertJoin(tx.em, {
        proof,
        agentId: agent.id,
        requestHash,
        answer: writeJoinAnswer(certificates),
        createdAt: now,
      });
      auditJoin(tx, agent, join.clientAddress);
      return certificates;
    });
  }

  /**
   * Certificates for an agent in this process. Its record is kept over restarts.
   * @throws {MezError} `CONFLICT` when an agent elsewhere has the name
   */
  async enrolLocal({ name, role, keys, publicAddresses }: LocalAgent): Promise<HostCertificates> {
    parseAgentName(name);
    const id = randomUUID();
    return this.#transaction(async (tx, prepared) => {
      const known = await repository.findAgent(tx.em, role, name);
      if (known === null) {
        if (role === "node") await requireNoOpenSshNode(tx, name);
        const subject = { id, name, role, publicAddresses };
        const certificates = prepared(subject, () => this.issuer.issue(subject, keys));
        const agent = await this.#admit(tx, subject, certificates, LOCAL);
        auditJoin(tx, agent, null);
        return certificates;
      }
      if (known.joinedBy !== LOCAL) {
        throw new MezError(
          "CONFLICT",
          `a ${role} named "${name}" joined from another process; remove it with mezctl nodes rm, or give this one another name`,
        );
      }
      return this.#reissue(tx, known, keys, publicAddresses, prepared);
    });
  }

  /** Certificates for the auth service of this process, which has no agent record. */
  async issueForAuth(name: string, keys: HostPublicKeys, publicAddresses: readonly string[]): Promise<HostCertificates> {
    return this.issuer.issue({ id: randomUUID(), name, role: "auth", publicAddresses }, keys);
  }

  /**
   * New certificates for new keys of the same agent.
   * @throws {MezError} `UNAUTHENTICATED` when the agent has been removed, `ACCESS_DENIED` by a guard
   */
  async renew(agentId: string, keys: HostPublicKeys | undefined, publicAddresses: readonly string[]): Promise<HostCertificates> {
    const publicKeys = parseHostPublicKeys(keys);
    const addresses = parsePublicAddresses(publicAddresses);
    return this.#transaction(async (tx, prepared) => {
      const agent = await repository.findAgentById(tx.em, agentId);
      if (agent === null)
        throw new MezError("UNAUTHENTICATED", "this agent was removed from the cluster; join it again with a new token");
      // Here as well, because transactions have an order: an agent that was locked before gets none.
      requireNoRefusal(this.guards, { agent: agent.name });
      if (agent.role === "node") refuseAddresses(addresses);
      else await requireFreeAddresses(tx, addresses);
      return this.#reissue(tx, agent, publicKeys, addresses, prepared);
    });
  }

  #method(name: string): JoinMethod {
    try {
      return this.methods.get(name);
    } catch (error) {
      if (!isMezError(error, "PLUGIN_NOT_ENABLED")) throw error;
      throw new MezError(
        "JOIN_REFUSED",
        `join method "${name.slice(0, 40)}" is unknown here; use one of ${this.methods.names().join(", ")}`,
      );
    }
  }

  async #again(tx: Transaction, earlier: repository.StoredJoin, requestHash: string): Promise<HostCertificates> {
    const agent = await repository.findAgentById(tx.em, earlier.agentId);
    if (agent === null || earlier.requestHash !== requestHash) {
      throw new MezError("JOIN_REFUSED", "the join was refused: the token is unknown, used or expired, or the proof is wrong", {
        detail: agent === null ? "the agent of this join was removed" : "the join was made with another request",
      });
    }
    return readJoinAnswer(earlier.answer);
  }

  /** Signatures are made outside of it, so that nobody waits for them. */
  #transaction(
    work: (tx: Transaction, prepared: Prepared<HostCertificates>) => Promise<HostCertificates>,
  ): Promise<HostCertificates> {
    return preparedTransaction(this.database, work);
  }

  async #admit(tx: Transaction, subject: NewAgent, certificates: HostCertificates, joinedBy: string): Promise<Agent> {
    const agent: Agent = {
      ...{ ...subject, joinedBy },
      ...{ hostname: "", agentLabels: {}, adminLabels: {}, os: "", version: "", address: "" },
      joinedAt: this.clock.now().toISOString(),
      certificateSerial: certificates.serial,
      certificateExpiresAt: certificates.expiresAt.toISOString(),
    };
    await repository.insertAgent(tx.em, agent);
    publishAgent(tx, agent);
    return agent;
  }

  async #reissue(
    tx: Transaction,
    agent: Agent,
    keys: HostPublicKeys,
    publicAddresses: readonly string[],
    prepared: Prepared<HostCertificates>,
  ): Promise<HostCertificates> {
    const { id, name, role } = agent;
    const subject = { id, name, role, publicAddresses };
    const certificates = prepared(subject, () => this.issuer.issue(subject, keys));
    const renewed: Agent = {
      ...agent,
      publicAddresses,
      certificateSerial: certificates.serial,
      certificateExpiresAt: certificates.expiresAt.toISOString(),
    };
    await repository.updateAgent(tx.em, renewed);
    publishAgent(tx, renewed);
    const previous = agent.publicAddresses;
    if (JSON.stringify(publicAddresses) !== JSON.stringify(previous))
      auditAgentChange(tx, renewed, null, { public_addresses: publicAddresses, previous });
    return certificates;
  }
}

// --- internal ---

type NewAgent = Pick<Agent, "id" | "name" | "role" | "publicAddresses">;

const LOCAL = "local";
const JOIN_MEMORY_MS = 7 * 86_400_000;

function checked(request: JoinRequest): LocalAgent {
  const role = parseAgentRole(request.role);
  const publicAddresses = parsePublicAddresses(request.publicAddresses);
  if (role === "node") refuseAddresses(publicAddresses);
  return { name: parseAgentName(request.name), role, keys: parseHostPublicKeys(request.keys), publicAddresses };
}

function refuseAddresses(addresses: readonly string[]): void {
  if (addresses.length > 0) throw new MezError("INVALID_ARGUMENT", "a node has no public addresses; only proxies are dialled");
}

function auditJoin(tx: Transaction, agent: Agent, clientAddress: string | null): void {
  tx.audit({
    type: "node.joined",
    resourceType: agent.role,
    resourceName: agent.name,
    serverId: agent.id,
    clientIp: clientAddress ?? undefined,
    metadata: { role: agent.role, joined_by: agent.joinedBy, certificate_serial: agent.certificateSerial },
  });
}
