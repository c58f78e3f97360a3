import { chmodSync, lstatSync, rmSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { dirname } from "node:path";
import { MezError } from "../../../core/errors/error.js";
import { systemReason } from "../../../core/errors/system-reason.js";
import { SessionBindings } from "../../../core/ssh/agent-bindings.js";
import type { PeerCredentialsReader } from "../../../core/unix-socket/peer-credentials.js";
import { isTaken } from "../../../core/unix-socket/taken-socket.js";
import { makePrivateFolder } from "../private-folder.js";
import { readMessages, writeMessage } from "./agent-stream.js";
import type { SshAgent } from "./ssh-agent.js";
import { UpstreamAgent } from "./upstream-agent.js";

export interface AgentListenerParts {
  readonly agent: SshAgent;
  readonly path: string;
  /** Of the agent behind, `null` for none. */
  readonly upstreamPath: string | null;
  /** Tells who connects; `null` where the system does not, and the mode of the socket has to do. */
  readonly credentialsOf: PeerCredentialsReader | null;
  readonly note: (text: string) => void;
}

/** The unix socket of an agent: mode 0600, and for processes of the same user and of root only, as ssh-agent has it. */
export class AgentListener {
  readonly #server: Server;
  readonly #clients = new Set<Socket>();

  constructor(private readonly parts: AgentListenerParts) {
    this.#server = createServer((socket) => void this.#serve(socket));
  }

  /** @throws {MezError} `ADDRESS_IN_USE`, `ADDRESS_UNUSABLE` */
  async listen(): Promise<void> {
    const { path } = this.parts;
    if (Buffer.byteLength(path) > MAX_PATH_BYTES)
      throw new MezError(
        "ADDRESS_UNUSABLE",
        `${path} is too long for a socket; give a path of at most ${MAX_PATH_BYTES} bytes with --socket`,
      );
    if (!lstatSync(dirname(path), { throwIfNoEntry: false })) makePrivateFolder(dirname(path));
    await removeStale(path);
    const umask = process.umask(0o177);
    try {
      await new Promise<void>((resolve, reject) => this.#server.once("error", reject).listen(path, resolve));
      chmodSync(path, 0o600);
    } catch (cause) {
      throw new MezError("ADDRESS_UNUSABLE", `no agent can listen on ${path}: ${systemReason(cause)}`, { cause });
    } finally {
      process.umask(umask);
    }
  }

  async close(): Promise<void> {
    for (const client of this.#clients) client.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
    rmSync(this.parts.path, { force: true });
  }

  async #serve(socket: Socket): Promise<void> {
    const { agent, upstreamPath } = this.parts;
    socket.on("error", () => {}); // a client that goes away is none of our business
    if (!this.#isFriend(socket)) return void socket.destroy();
    this.#clients.add(socket);
    const upstream = upstreamPath === null ? null : new UpstreamAgent(upstreamPath);
    const client = { upstream, bindings: new SessionBindings(() => new Date()) };
    try {
      for await (const message of readMessages(socket)) writeMessage(socket, await agent.answer(message, client));
    } catch {
      // The connection broke.
    } finally {
      upstream?.close();
      this.#clients.delete(socket);
      socket.destroy();
    }
  }

  #isFriend(socket: Socket): boolean {
    const { credentialsOf, note } = this.parts;
    if (credentialsOf === null) return true;
    try {
      const peer = credentialsOf(socket);
      peer.close();
      if (peer.uid === process.getuid?.() || peer.uid === 0) return true;
      note(`refused process ${peer.pid} of user ${peer.uid}, which is not yours`);
    } catch {
      note("refused a process that the system does not name");
    }
    return false;
  }
}

// --- internal ---

const MAX_PATH_BYTES = 107; // unix(7), sun_path

async function removeStale(path: string): Promise<void> {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found === undefined) return;
  if (!found.isSocket())
    throw new MezError("ADDRESS_UNUSABLE", `${path} is there and is no socket; remove it, or give another path with --socket`);
  if (await isTaken(path))
    throw new MezError("ADDRESS_IN_USE", `an agent listens on ${path} already; use it: SSH_AUTH_SOCK=${path}`);
  rmSync(path);
}
