import { randomUUID, X509Certificate } from "node:crypto";
import { MezError } from "../../core/errors/error.js";
import { authorOf } from "../../core/plugin/audit-author.js";
import type { Collection } from "../../core/plugin/collection.js";
import type { Database, Transaction } from "../../core/plugin/database.js";
import { fingerprintOf } from "../../core/ssh/public-key.js";
import type { Clock } from "../../core/time/clock.js";
import type { TrustBundle, TrustFollower } from "../ca/api.js";
import { type Labels, parseAgentName, parseLabels } from "./agent.js";
import { NODE_LEFT, NODES } from "./api.js";
import { requireFreeName } from "./free-name.js";
import type { NodeAuthor } from "./node-service.js";
import {
  endpointOf,
  hostKeyFingerprint,
  OPENSSH_NODES,
  type OpenSshNode,
  openSshEntryOf,
  parseHost,
  parseHostKey,
  parsePort,
} from "./openssh-node.js";
import { deleteOpenSshNode, findOpenSshNode, insertOpenSshNode, updateOpenSshNode } from "./openssh-node-repository.js";

/** What an administrator says of a node without an agent. */
export interface OpenSshNodeDescription {
  readonly name: string;
  readonly host: string;
  /** 0 for 22. */
  readonly port: number;
  readonly labels: Labels;
  /** Wire form. */
  readonly hostKey: Buffer;
  /** Dial the node first, and take it only if it shows this key. */
  readonly isVerified: boolean;
}

/** Looks whether a host shows a key. @throws {MezError} `SSH_HOST_KEY_REFUSED`, `SSH_CONNECTION_FAILED` */
export type HostKeyVerifier = (node: { readonly host: string; readonly port: number; readonly hostKey: string }) => Promise<void>;

/** The nodes that have an `sshd` of their own and no agent: administrators add them, and they change by their word alone. */
export class OpenSshNodeService {
  constructor(
    private readonly database: Database,
    private readonly nodes: Collection<OpenSshNode>,
    private readonly clock: Clock,
    private readonly verify: HostKeyVerifier,
  ) {}

  /** `null` when there is none of that name. */
  find(name: string): OpenSshNode | null {
    return this.nodes.get(name) ?? null;
  }

  /** In no order. */
  all(): readonly OpenSshNode[] {
    return [...this.nodes.values()];
  }

  /** What is known of their trust in the User CA. */
  followers(bundle: TrustBundle): readonly TrustFollower[] {
    const certificates = new Map(
      bundle.sshPublicKeys.map((key, index) => [
        fingerprintOf(Buffer.from(key, "base64")),
        new X509Certificate(bundle.certificatesPem[index] ?? "").fingerprint256,
      ]),
    );
    return this.all().map(({ name, lastAuthority }) => ({
      ...{ kind: "openssh", name, report: null, follows: ["user"] },
      byHand: { worksUnder: certificates.get(lastAuthority ?? "") ?? null },
    }));
  }

  /**
   * @throws {MezError} `INVALID_ARGUMENT`, `SSH_KEY_UNSUPPORTED`; `ALREADY_EXISTS` for the name of a node of any kind;
   *   `SSH_HOST_KEY_REFUSED`, `SSH_CONNECTION_FAILED` when it is to be verified
   */
  async add(description: OpenSshNodeDescription, author: NodeAuthor): Promise<OpenSshNode> {
    const node: OpenSshNode = {
      id: randomUUID(),
      name: parseAgentName(description.name),
      host: parseHost(description.host),
      port: parsePort(description.port),
      labels: parseLabels(description.labels),
      hostKey: parseHostKey(description.hostKey),
      addedBy: author.caller.kind === "user" ? author.caller.name : "",
      addedAt: this.clock.now().toISOString(),
      lastAccessAt: null,
      lastAuthority: null,
    };
    if (description.isVerified) await this.verify(node);
    await this.database.transaction(async (tx) => {
      await requireFreeName(tx, "node", node.name);
      await insertOpenSshNode(tx.em, node);
      publish(tx, node);
      audit(tx, "node.joined", node, author);
    });
    return node;
  }

  /** Replaces the pinned key. @throws {MezError} `NOT_FOUND` and as `add` */
  async rotateHostKey(name: string, blob: Buffer, isVerified: boolean, author: NodeAuthor): Promise<OpenSshNode> {
    const hostKey = parseHostKey(blob);
    const known = this.find(name);
    if (known === null) throw new MezError("NOT_FOUND", `there is no OpenSSH node named "${name.slice(0, 80)}"`);
    if (isVerified) await this.verify({ ...known, hostKey });
    return this.#change(name, { hostKey }, author, { previous_host_key: hostKeyFingerprint(known) });
  }

  /** @throws {MezError} `NOT_FOUND`, `INVALID_ARGUMENT` */
  updateLabels(name: string, labels: Labels, author: NodeAuthor): Promise<OpenSshNode> {
    return this.#change(name, { labels: parseLabels(labels) }, author);
  }

  /** Its sessions end with its record. @throws {MezError} `NOT_FOUND` */
  async delete(name: string, author: NodeAuthor): Promise<void> {
    await this.database.transaction(async (tx) => {
      const gone = await requireNode(tx, name);
      await deleteOpenSshNode(tx.em, gone.id);
      tx.remove(OPENSSH_NODES, name);
      tx.remove(NODES, name);
      tx.emit(NODE_LEFT, { id: gone.id, name });
      audit(tx, "node.left", gone, author);
    });
  }

  /** Notes that a session got in under a User CA key. Written when it says something new, so that logins cost no transactions. */
  async noteAccess(id: string, name: string, authority: string): Promise<void> {
    const known = this.find(name);
    const now = this.clock.now();
    const isNew = known?.lastAccessAt == null || now.getTime() - new Date(known.lastAccessAt).getTime() > NOTE_MS;
    if (known === null || known.id !== id || (!isNew && known.lastAuthority === authority)) return;
    await this.database.transaction(async (tx) => {
      const stored = await findOpenSshNode(tx.em, name);
      if (stored === null || stored.id !== id) return;
      const changed = { ...stored, lastAccessAt: now.toISOString(), lastAuthority: authority };
      await updateOpenSshNode(tx.em, changed);
      tx.put(OPENSSH_NODES, name, changed);
    });
  }

  #change(
    name: string,
    change: Partial<OpenSshNode>,
    author: NodeAuthor,
    metadata: Readonly<Record<string, string>> = {},
  ): Promise<OpenSshNode> {
    return this.database.transaction(async (tx) => {
      const changed = { ...(await requireNode(tx, name)), ...change };
      await updateOpenSshNode(tx.em, changed);
      publish(tx, changed);
      audit(tx, "node.updated", changed, author, metadata);
      return changed;
    });
  }
}

// --- internal ---

const NOTE_MS = 60_000;

function publish(tx: Transaction, node: OpenSshNode): void {
  tx.put(OPENSSH_NODES, node.name, node);
  tx.put(NODES, node.name, openSshEntryOf(node));
}

async function requireNode(tx: Transaction, name: string): Promise<OpenSshNode> {
  const node = await findOpenSshNode(tx.em, name);
  if (node === null) throw new MezError("NOT_FOUND", `there is no node named "${name.slice(0, 80)}"`);
  return node;
}

function audit(
  tx: Transaction,
  type: "node.joined" | "node.updated" | "node.left",
  node: OpenSshNode,
  author: NodeAuthor,
  metadata: Readonly<Record<string, string>> = {},
): void {
  tx.audit({
    type,
    ...authorOf(author),
    resourceType: "node",
    resourceName: node.name,
    resourceLabels: node.labels,
    serverId: node.id,
    serverHostname: node.host,
    metadata: { kind: "openssh", address: endpointOf(node), host_key: hostKeyFingerprint(node), ...metadata },
  });
}
