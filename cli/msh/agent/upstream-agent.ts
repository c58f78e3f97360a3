import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { type AgentIdentity, LIST_REQUEST, parseAgentIdentities } from "../../../core/ssh/agent-protocol.js";
import { readMessages, writeMessage } from "./agent-stream.js";

/**
 * The agent behind ours, over a connection that belongs to one client: an agent may bind a connection to a session
 * (`session-bind@openssh.com`). Opened when it is first needed. One that cannot be reached counts as one without keys.
 */
export class UpstreamAgent {
  #connection: { readonly socket: Socket; readonly answers: AsyncGenerator<Buffer> } | null = null;

  constructor(private readonly path: string) {}

  async list(): Promise<readonly AgentIdentity[]> {
    const answer = await this.request(LIST_REQUEST);
    try {
      return (answer === null ? null : parseAgentIdentities(answer)) ?? [];
    } catch {
      return [];
    }
  }

  /** The answer to a message, both without their lengths; `null` when there is none. One at a time. */
  async request(message: Buffer): Promise<Buffer | null> {
    try {
      this.#connection ??= await this.#open();
      writeMessage(this.#connection.socket, message);
      const { value, done } = await this.#connection.answers.next();
      if (done !== true) return value;
    } catch {
      // As if it had refused.
    }
    this.close();
    return null;
  }

  close(): void {
    this.#connection?.socket.destroy();
    this.#connection = null;
  }

  async #open(): Promise<{ readonly socket: Socket; readonly answers: AsyncGenerator<Buffer> }> {
    const socket = connect(this.path);
    await once(socket, "connect");
    return { socket, answers: readMessages(socket) };
  }
}
