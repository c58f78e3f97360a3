import type { RelayEnd } from "./relay-end.js";
import type { ProgramWitness, RelayedTerminal } from "./relay-rules.js";
import { ReplyQueue } from "./reply-queue.js";
import { string, uint32 } from "./wire.js";

/** Numbers of the connection protocol's messages. @see RFC 4250, 4.1.2 */
export const MESSAGE = {
  globalRequest: 80,
  requestSuccess: 81,
  requestFailure: 82,
  channelOpen: 90,
  channelOpenConfirmation: 91,
  channelOpenFailure: 92,
  channelWindowAdjust: 93,
  channelData: 94,
  channelExtendedData: 95,
  channelEof: 96,
  channelClose: 97,
  channelRequest: 98,
  channelSuccess: 99,
  channelFailure: 100,
} as const;

/** What one side knows of a channel. */
export class ChannelHalf {
  /** How this side calls the channel; -1 before it has said so. */
  id = -1;
  /** Bytes that may still be sent to it. */
  window = 0;
  /** Bytes that we sent to it ourselves, which the other side does not know of. */
  debt = 0;
  /** It has said that it is done with the channel. */
  hasClosed = false;
  /** It was told that the channel is closed. */
  isTold = false;
  /** Its requests, which the other side answers. */
  readonly replies: ReplyQueue;

  constructor(readonly end: RelayEnd) {
    this.replies = new ReplyQueue((payload) => {
      payload.writeUInt32BE(this.id, 1);
      if (!this.isTold) end.send(payload);
    });
  }

  /** Sends a message that begins with the channel's number. */
  send(type: number, ...fields: readonly Buffer[]): void {
    if (!this.isTold) this.end.send(Buffer.concat([Buffer.of(type), uint32(this.id), ...fields]));
  }

  close(): void {
    this.send(MESSAGE.channelClose);
    this.isTold = true;
  }
}

/** A channel between a client and a node; both know it under our number and call it by their own. */
export class RelayedChannel {
  readonly client: ChannelHalf;
  readonly node: ChannelHalf;
  isOpen = false;
  /** Set when a program was asked for: a channel runs one. */
  isStarted = false;
  terminal: RelayedTerminal | null = null;
  witness: ProgramWitness | null = null;

  constructor(
    readonly number: number,
    /** Counts the session channels from 0; `null` for those that carry a forwarding. */
    readonly ordinal: number | null,
    readonly opener: "client" | "node",
    ends: { readonly client: RelayEnd; readonly node: RelayEnd },
  ) {
    this.client = new ChannelHalf(ends.client);
    this.node = new ChannelHalf(ends.node);
  }

  /** Both sides have said that they are done, and know it of each other. */
  get isGone(): boolean {
    return [this.client, this.node].every((half) => half.hasClosed && half.isTold);
  }

  /** Shows the person a line on stderr, as long as the client has room for it. */
  tell(line: string): void {
    const text = Buffer.from(`mezite: ${line}\r\n`);
    if (!this.isOpen || this.client.window < text.length) return;
    this.client.window -= text.length;
    this.client.debt += text.length;
    this.client.send(MESSAGE.channelExtendedData, uint32(STDERR), string(text));
  }

  /** Ends it with a line in place of a program: a bare refusal tells the person nothing. */
  refuseProgram(line: string, wantsReply: boolean): void {
    if (wantsReply) this.client.replies.answer(Buffer.concat([Buffer.of(MESSAGE.channelSuccess), uint32(0)]));
    this.tell(line);
    this.client.send(MESSAGE.channelRequest, string("exit-status"), Buffer.of(0), uint32(EXIT_REFUSED));
    this.client.send(MESSAGE.channelEof);
    this.client.close();
    this.node.close();
  }

  /** The connection is over. */
  forget(): void {
    this.witness?.close();
    this.witness = null;
  }
}

// --- internal ---

const STDERR = 1; // RFC 4254, 5.2, SSH_EXTENDED_DATA_STDERR
const EXIT_REFUSED = 1;
