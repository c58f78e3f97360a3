import { connect, type Socket } from "node:net";
import { MezError, messageOf } from "../../core/errors/error.js";
import { lendingReads } from "../../core/flow/lending-socket.js";
import { parseCertificate } from "../../core/ssh/certificate.js";
import { dialSsh, type SshCredentials } from "../../core/ssh/client.js";
import type { SshClientConnection } from "../../core/ssh/client-connection.js";
import { generateSshKeyPair } from "../../core/ssh/private-key.js";
import { fingerprintOf } from "../../core/ssh/public-key.js";
import type { RelayEnd } from "../../core/ssh/relay-end.js";
import type { NodeEntry } from "../nodes/api.js";
import type { AccessQuestion, AgentlessAccess } from "./agentless-access.js";

/** A node that let us in. */
export interface LinkedNode {
  readonly connection: SshClientConnection;
  readonly end: RelayEnd;
  /** Fingerprint of the User CA key under which it did. */
  readonly authority: string;
}

/** Our connection to the `sshd` of a node: begun before it is known who logs in, and made for one login. */
export class AgentlessLink {
  /** @throws {MezError} `SSH_HOST_KEY_REFUSED`, `SSH_AUTHENTICATION_FAILED`, `SSH_CONNECTION_FAILED` for people; what the auth service answers */
  readonly ready: Promise<LinkedNode>;
  readonly #socket: Socket;
  readonly #key = generateSshKeyPair();
  #begin: ((credentials: Promise<SshCredentials>) => void) | null = null;
  #authority = "";

  constructor(
    private readonly node: NodeEntry,
    private readonly access: Pick<AgentlessAccess, "accessCertificate">,
  ) {
    const { host = "", port = 0, hostKey = "" } = node.openSsh ?? {};
    const { memory, onread, attach } = lendingReads();
    this.#socket = connect({ host, port, noDelay: true, onread });
    attach(this.#socket);
    this.#socket.once("close", () => memory.close());
    const late = setTimeout(() => this.#socket.destroy(new Error("it does not answer")), CONNECT_MS).unref();
    this.#socket.once("connect", () => clearTimeout(late)).on("error", () => undefined);
    const credentials = new Promise<SshCredentials>((resolve) => {
      this.#begin = resolve;
    });
    this.ready = this.#dial(Buffer.from(hostKey, "base64"), credentials);
    this.ready.catch(() => undefined); // somebody asks later, or nobody: the client went away
  }

  /** Logs in as soon as the node has been believed. Once; later calls change nothing. */
  logIn(question: Omit<AccessQuestion, "publicKey">): void {
    this.#begin?.(this.#certify(question));
    this.#begin = null;
  }

  close(): void {
    this.#socket.destroy();
  }

  async #certify(question: Omit<AccessQuestion, "publicKey">): Promise<SshCredentials> {
    const publicKey = this.#key.publicKeyBlob;
    const certificateBlob = await this.access.accessCertificate(this.node, { ...question, publicKey });
    this.#authority = fingerprintOf(parseCertificate(certificateBlob).authorityBlob);
    return { user: question.login, key: this.#key, certificateBlob };
  }

  async #dial(pinnedKey: Buffer, credentials: Promise<SshCredentials>): Promise<LinkedNode> {
    let end: RelayEnd | null = null;
    const onReady = (ready: SshClientConnection) => {
      end = ready.handOver();
    };
    try {
      const hostTrust = { pinnedKeys: [pinnedKey] };
      const connection = await dialSsh({ to: this.#socket, hostTrust, timeoutMs: LOGIN_MS, onReady }, credentials);
      if (end === null) throw new MezError("INTERNAL", "the login was not noticed");
      return { connection, end, authority: this.#authority };
    } catch (error) {
      this.#socket.destroy();
      throw this.#explained(error);
    }
  }

  #explained(error: unknown): unknown {
    if (!(error instanceof MezError)) return error;
    const { name, openSsh } = this.node;
    const cause = error.cause instanceof Error ? error.cause : error;
    switch (error.code) {
      case "SSH_HOST_KEY_REFUSED":
        return new MezError(error.code, `node ${name} was not believed: ${messageOf(cause)}`, { cause });
      case "SSH_AUTHENTICATION_FAILED":
        return new MezError(
          error.code,
          `the sshd of node ${name} refused the login; it has to trust the User CA that signs now, and to know the login`,
          { cause, detail: `User CA ${this.#authority}: ${error.message}` },
        );
      case "SSH_CONNECTION_FAILED": {
        const reason = messageOf(cause);
        return new MezError(error.code, `node ${name} cannot be reached at ${openSsh?.host}:${openSsh?.port}: ${reason}`, {
          cause,
        });
      }
      default:
        return error;
    }
  }
}

// --- internal ---

const CONNECT_MS = 10_000;
/** Longer than the person has to log in to us. */
const LOGIN_MS = 45_000;
