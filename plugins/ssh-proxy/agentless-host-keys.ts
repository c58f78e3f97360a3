import type { Collection } from "../../core/plugin/collection.js";
import { generateSshKeyPair } from "../../core/ssh/private-key.js";
import type { SshHostKey } from "../../core/ssh/server.js";
import type { Clock } from "../../core/time/clock.js";
import type { TrustBundle } from "../ca/api.js";
import type { NodeEntry } from "../nodes/api.js";
import type { AgentlessAccess } from "./agentless-access.js";

/**
 * The host certificates that this proxy shows in the name of nodes without an agent, all for one key of its own. Asked
 * for when a node is first visited, and kept for two thirds of their life or until another Host CA key signs.
 */
export class AgentlessHostKeys {
  readonly #key = generateSshKeyPair();
  readonly #known = new Map<string, Promise<Certified>>();

  constructor(
    private readonly access: Pick<AgentlessAccess, "hostCertificate">,
    private readonly caKeys: Collection<TrustBundle>,
    private readonly clock: Clock,
  ) {}

  /** The same array until the certificate is renewed. @throws {MezError} what the auth service answers; `UNAVAILABLE` */
  async of(node: NodeEntry): Promise<readonly SshHostKey[]> {
    const authority = this.caKeys.get("host")?.sshPublicKeys[0] ?? "";
    const known = await this.#known.get(node.id);
    if (known !== undefined && known.authority === authority && this.clock.now() < known.renewAt) return known.keys;
    const asked = this.#ask(node.name, authority);
    // Everybody who comes meanwhile waits for the same answer; a certificate that is still good serves if it fails.
    this.#known.set(node.id, asked);
    try {
      return (await asked).keys;
    } catch (error) {
      this.#known.delete(node.id);
      if (known === undefined || known.authority !== authority || this.clock.now() >= known.expiresAt) throw error;
      this.#known.set(node.id, Promise.resolve(known));
      return known.keys;
    }
  }

  /** Forgets a node that was removed. */
  forget(nodeId: string): void {
    this.#known.delete(nodeId);
  }

  async #ask(name: string, authority: string): Promise<Certified> {
    const begun = this.clock.now();
    const { certificate, expiresAt = begun } = await this.access.hostCertificate(name, this.#key.publicKeyBlob);
    const renewAt = new Date(begun.getTime() + ((expiresAt.getTime() - begun.getTime()) * 2) / 3);
    return { keys: [{ key: this.#key, certificateBlob: certificate }], authority, renewAt, expiresAt };
  }
}

// --- internal ---

interface Certified {
  readonly keys: readonly SshHostKey[];
  /** Public key of the Host CA that signed when it was asked for. */
  readonly authority: string;
  readonly renewAt: Date;
  readonly expiresAt: Date;
}
