import type { HostIdentity } from "../../core/plugin/host-identity.js";
import { NodeAccessServiceService } from "../../proto/gen/mezite/nodes/v1/nodes.js";
import type { NodeEntry } from "../nodes/api.js";

/** What the auth service is asked for a login. */
export interface AccessQuestion {
  readonly login: string;
  readonly sessionId: string;
  readonly clientAddress: string;
  /** Kind of second factor that was proven for the session; empty for none. */
  readonly secondFactor: string;
  /** Wire form. */
  readonly userCertificate: Buffer;
  /** Wire form. */
  readonly publicKey: Buffer;
}

/** What a proxy asks of the auth service for nodes without an agent. */
export class AgentlessAccess {
  constructor(private readonly identity: Pick<HostIdentity, "connection">) {}

  /** A host certificate for the node's name, wire form. @throws {MezError} what the auth service answers; `UNAVAILABLE` */
  hostCertificate(
    node: string,
    publicKey: Buffer,
  ): Promise<{ readonly certificate: Buffer; readonly expiresAt?: Date | undefined }> {
    return this.#client.issueNodeHostCertificate({ node, publicKey }, { timeoutMs: TIMEOUT_MS });
  }

  /** A user certificate for one login, wire form. @throws {MezError} as `hostCertificate` */
  async accessCertificate(node: NodeEntry, question: AccessQuestion): Promise<Buffer> {
    const request = { ...question, nodeId: node.id, node: node.name };
    return (await this.#client.issueNodeAccessCertificate(request, { timeoutMs: TIMEOUT_MS })).certificate;
  }

  /** Says under which User CA key a login got in. @param authority SHA256 fingerprint. */
  async report(node: NodeEntry, authority: string): Promise<void> {
    await this.#client.reportNodeAccess({ nodeId: node.id, node: node.name, authority }, { timeoutMs: TIMEOUT_MS });
  }

  get #client() {
    return this.identity.connection().client(NodeAccessServiceService);
  }
}

// --- internal ---

const TIMEOUT_MS = 10_000;
