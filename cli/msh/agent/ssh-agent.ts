import { SESSION_BIND, type SessionBindings } from "../../../core/ssh/agent-bindings.js";
import {
  type AgentIdentity,
  type AgentRequest,
  agentExtensions,
  agentIdentities,
  agentResult,
  agentSignature,
  parseAgentRequest,
} from "../../../core/ssh/agent-protocol.js";
import type { SshPrivateKey } from "../../../core/ssh/private-key.js";
import { createSignature } from "../../../core/ssh/signature.js";
import type { AgentLock } from "./agent-lock.js";
import type { AddedKey, KeyRing } from "./key-ring.js";
import type { UpstreamAgent } from "./upstream-agent.js";

/** The key of a login with its certificate, both under one private key. */
export interface LoginKey {
  readonly key: SshPrivateKey;
  /** The certificate first: it is what opens sessions. */
  readonly identities: readonly AgentIdentity[];
}

/** Where the key of the login comes from. */
export interface LoginKeys {
  /** The one to use now, renewed or after a new login when it must be; `null` when nobody is logged in. */
  valid(): Promise<LoginKey | null>;
  /** The one with this public key or certificate: `valid`, or one that it has just replaced. */
  find(blob: Buffer): LoginKey | null;
}

export interface SshAgentParts {
  readonly login: LoginKeys;
  readonly added: KeyRing;
  readonly lock: AgentLock;
  /** Whether the key of the login is used only when the person says yes. */
  readonly confirmLogin: boolean;
  /** Asks the person. */
  readonly confirm: (question: string) => Promise<boolean>;
}

/** One connection to the agent. */
export interface AgentClient {
  /** The agent behind, on a connection that is this one's alone. */
  readonly upstream: UpstreamAgent | null;
  readonly bindings: SessionBindings;
}

/**
 * Answers the requests of the OpenSSH agent protocol: with the key of the login first, then with keys that were added, then
 * with those of the agent behind.
 * @see draft-ietf-sshm-ssh-agent; OpenSSH PROTOCOL.agent
 */
export class SshAgent {
  constructor(private readonly parts: SshAgentParts) {}

  /** The answer to one message, both without their lengths. */
  async answer(message: Buffer, client: AgentClient): Promise<Buffer> {
    try {
      const request = parseAgentRequest(message);
      if (this.parts.lock.isLocked) return await this.#whileLocked(request);
      return await this.#perform(request, message, client);
    } catch {
      return agentResult(false); // the protocol has no words for a reason
    }
  }

  async #whileLocked(request: AgentRequest): Promise<Buffer> {
    if (request.kind === "unlock") return agentResult(await this.parts.lock.unlock(request.passphrase));
    return request.kind === "list" ? agentIdentities([]) : agentResult(false);
  }

  async #perform(request: AgentRequest, message: Buffer, client: AgentClient): Promise<Buffer> {
    const { added, lock } = this.parts;
    const { upstream, bindings } = client;
    const passOn = async (): Promise<Buffer> => (await upstream?.request(message)) ?? agentResult(false);
    switch (request.kind) {
      case "list":
        return agentIdentities(await this.#list(client));
      case "sign":
        return (await this.#sign(request, bindings)) ?? passOn();
      case "add": {
        const { key, certificateBlob, comment, confirm, lifetimeSeconds, destinations } = request;
        added.add({ key, blob: certificateBlob ?? key.publicKeyBlob, comment, confirm, lifetimeSeconds, destinations });
        return agentResult(true);
      }
      case "bind":
        await upstream?.request(message); // which keeps the restrictions of its own keys
        return agentResult(bindings.bind(request));
      case "remove":
        if (!bindings.shows(added.find(request.keyBlob)?.destinations ?? [])) return agentResult(false);
        return added.remove(request.keyBlob) ? agentResult(true) : passOn();
      case "remove-all":
        added.clear();
        await upstream?.request(message);
        return agentResult(true);
      case "lock":
        return agentResult(await lock.lock(request.passphrase));
      case "unlock":
        return agentResult(false);
      case "extension":
        return request.name === "query" ? agentExtensions([SESSION_BIND]) : passOn();
      case "other":
        return passOn();
    }
  }

  async #list({ upstream, bindings }: AgentClient): Promise<readonly AgentIdentity[]> {
    const { login, added } = this.parts;
    const shown = added.list().filter(({ destinations }) => bindings.shows(destinations));
    const all = [...((await login.valid())?.identities ?? []), ...shown, ...((await upstream?.list()) ?? [])];
    return [...new Map(all.map((identity) => [identity.blob.toString("base64"), identity])).values()];
  }

  /** `null` when the key is not one of ours. */
  async #sign(
    { keyBlob, data, rsaAlgorithm }: AgentRequest & { kind: "sign" },
    bindings: SessionBindings,
  ): Promise<Buffer | null> {
    const { login, added, confirmLogin } = this.parts;
    const own = added.find(keyBlob);
    if (own !== undefined && !bindings.signs(own.destinations, keyBlob, data)) return agentResult(false);
    if (own !== undefined) return this.#signAfter(own.confirm, own, data, rsaAlgorithm);
    const held = login.find(keyBlob);
    if (held === null) return null;
    const comment = held.identities[0]?.comment ?? "";
    return this.#signAfter(confirmLogin, { key: held.key, comment }, data, rsaAlgorithm);
  }

  async #signAfter(
    asks: boolean,
    { key, comment }: Pick<AddedKey, "key" | "comment">,
    data: Buffer,
    rsaAlgorithm: (AgentRequest & { kind: "sign" })["rsaAlgorithm"],
  ): Promise<Buffer> {
    if (asks && !(await this.parts.confirm(`Allow use of key ${comment}?`))) return agentResult(false);
    return agentSignature(createSignature(key, data, key.type === "ssh-rsa" ? rsaAlgorithm : undefined));
  }
}
