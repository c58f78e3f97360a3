import type { Socket } from "node:net";
import { MAX_AGENT_MESSAGE_BYTES } from "../../../core/ssh/agent-protocol.js";
import { uint32 } from "../../../core/ssh/wire.js";

/**
 * The messages of the agent protocol that arrive on a connection, without their lengths. Ends when the connection does, or
 * with a message that is empty or too long.
 */
export async function* readMessages(socket: Socket): AsyncGenerator<Buffer> {
  let waiting: Buffer = Buffer.alloc(0);
  for await (const chunk of socket as AsyncIterable<Buffer>) {
    waiting = waiting.length === 0 ? chunk : Buffer.concat([waiting, chunk]);
    for (;;) {
      if (waiting.length < LENGTH_BYTES) break;
      const length = waiting.readUInt32BE(0);
      if (length === 0 || length > MAX_AGENT_MESSAGE_BYTES) return;
      if (waiting.length < LENGTH_BYTES + length) break;
      yield waiting.subarray(LENGTH_BYTES, LENGTH_BYTES + length);
      waiting = waiting.subarray(LENGTH_BYTES + length);
    }
  }
}

/** Writes a message with its length in front (draft-ietf-sshm-ssh-agent, 3). */
export function writeMessage(socket: Socket, message: Buffer): void {
  socket.write(Buffer.concat([uint32(message.length), message]));
}

// --- internal ---

const LENGTH_BYTES = 4;
