import type { RelayEnd } from "./relay-end.js";
import type { RelayRules } from "./relay-rules.js";
import { type ChannelHalf, MESSAGE, RelayedChannel } from "./relayed-channel.js";
import { ChannelRequests } from "./relayed-channel-requests.js";
import { GlobalRequests } from "./relayed-global-requests.js";
import { string, uint32, WireReader } from "./wire.js";

/**
 * Passes the connection protocol on between a client that has logged in to us and a node that we have logged in to:
 * messages as they are, with our numbers for channels, so that flow control, half-close, signals and whatever else they
 * agree upon stays between the two. What the rules do not allow never reaches the other side.
 */
export class SessionRelay {
  /** How many messages with data of channels went either way. */
  dataMessages = 0;
  readonly #ends: { readonly client: RelayEnd; readonly node: RelayEnd };
  readonly #channels = new Map<number, RelayedChannel>();
  readonly #globals: GlobalRequests;
  readonly #requests: ChannelRequests;
  #lastNumber = -1;
  #sessions = 0;

  /** Begins at once. Both ends were handed over when their login was done, so that nothing was lost. */
  constructor(
    client: RelayEnd,
    node: RelayEnd,
    private readonly rules: RelayRules,
  ) {
    this.#ends = { client, node };
    this.#globals = new GlobalRequests(this.#ends, rules);
    this.#requests = new ChannelRequests(this.#ends, rules);
    client.start((payload) => this.#receive("client", payload));
    node.start((payload) => this.#receive("node", payload));
  }

  /** Asks both sides for a sign of life. @returns How many such questions the more silent side has not answered. */
  probe(): number {
    return this.#globals.probe();
  }

  /** Both connections are over: nothing is seen any more. */
  close(): void {
    for (const channel of this.#channels.values()) channel.forget();
    this.#channels.clear();
  }

  #receive(from: Side, payload: Buffer): void {
    const type = payload[0] ?? 0;
    if (type === MESSAGE.channelData || type === MESSAGE.channelExtendedData) return this.#data(from, payload, type);
    if (type <= MESSAGE.requestFailure) return this.#globals.receive(from, payload);
    if (type === MESSAGE.channelOpen) return this.#open(from, payload);
    const channel = payload.length < 5 ? undefined : this.#channels.get(payload.readUInt32BE(1));
    if (channel === undefined) return this.#ends[from].fail("message for a channel that does not exist");
    if (!channel.isOpen) return this.#answer(from, channel, payload);
    const [source, target] = halves(from, channel);
    if (type === MESSAGE.channelClose) {
      source.hasClosed = true;
      target.close();
      return this.#settle(channel);
    }
    if (target.isTold) return; // what a side sends before it hears of the end
    if (type === MESSAGE.channelWindowAdjust) return this.#adjust(source, target, payload);
    if (type === MESSAGE.channelRequest) return this.#requests.receive(from, channel, payload);
    if (type === MESSAGE.channelEof) return target.send(type);
    if (type === MESSAGE.channelSuccess || type === MESSAGE.channelFailure) {
      if (!target.replies.receive(payload)) this.#ends[from].fail("answer to a request that was not made");
      return;
    }
    this.#ends[from].fail(`message ${type} in the wrong place`);
  }

  /** The hot path: one look-up, three numbers changed. */
  #data(from: Side, payload: Buffer, type: number): void {
    const start = type === MESSAGE.channelData ? DATA_START : EXTENDED_START;
    const channel = payload.length < start ? undefined : this.#channels.get(payload.readUInt32BE(1));
    if (!channel?.isOpen) return this.#ends[from].fail("data for a channel that is not open");
    const target = from === "client" ? channel.node : channel.client;
    if (target.isTold || target.hasClosed) return;
    const length = payload.length - start;
    if (payload.readUInt32BE(start - 4) !== length) return this.#ends[from].fail("malformed channel data");
    if (length > target.window) return this.#ends[from].fail("channel data beyond the window");
    this.dataMessages += 1;
    target.window -= length;
    payload.writeUInt32BE(target.id, 1);
    if (!target.end.send(payload)) this.#ends[from].waitFor(target.end);
    if (from === "node") channel.witness?.output(payload.subarray(start));
  }

  #adjust(source: ChannelHalf, target: ChannelHalf, payload: Buffer): void {
    const reader = new WireReader(payload.subarray(5), "window adjustment");
    const bytes = reader.uint32();
    reader.end();
    if (source.window + bytes > MAX_UINT32) return source.end.fail("window beyond its limit");
    source.window += bytes;
    const passed = bytes - Math.min(bytes, source.debt);
    source.debt -= bytes - passed;
    if (passed > 0) target.send(MESSAGE.channelWindowAdjust, uint32(passed));
  }

  #open(from: Side, payload: Buffer): void {
    const reader = new WireReader(payload.subarray(1), "channel request");
    const type = reader.text();
    const [id, window, packetBytes] = [reader.uint32(), reader.uint32(), reader.uint32()];
    const rest = payload.subarray(1 + reader.position);
    const end = this.#ends[from];
    if (packetBytes === 0) return end.fail("channel with packets of size 0");
    const refuse = (reason: number, text: string) =>
      end.send(Buffer.concat([Buffer.of(MESSAGE.channelOpenFailure), uint32(id), uint32(reason), string(text), string("")]));
    if (this.#channels.size >= MAX_CHANNELS) return void refuse(RESOURCE_SHORTAGE, "too many channels are open");
    const objection = from === "client" ? this.#objection(type, rest) : this.#globals.objection(type, rest, this.#requests);
    if (objection !== null) return void refuse(PROHIBITED, objection);
    this.#lastNumber += 1;
    const ordinal = from === "client" && type === "session" ? this.#sessions++ : null;
    const channel = new RelayedChannel(this.#lastNumber, ordinal, from, this.#ends);
    this.#channels.set(channel.number, channel);
    const [source, target] = halves(from, channel);
    source.id = id;
    source.window = window;
    const numbers = [uint32(channel.number), uint32(window), uint32(Math.min(packetBytes, MAX_PACKET_BYTES))];
    target.end.send(Buffer.concat([Buffer.of(MESSAGE.channelOpen), string(type), ...numbers, rest]));
  }

  /** The answer to a channel that one side opened. */
  #answer(from: Side, channel: RelayedChannel, payload: Buffer): void {
    if (channel.opener === from) return this.#ends[from].fail("message for a channel that is not open");
    const [source, target] = halves(from, channel);
    const reader = new WireReader(payload.subarray(5), "answer to a channel");
    if (payload[0] === MESSAGE.channelOpenFailure) {
      this.#channels.delete(channel.number);
      return target.send(MESSAGE.channelOpenFailure, payload.subarray(5));
    }
    if (payload[0] !== MESSAGE.channelOpenConfirmation) return source.end.fail("message for a channel that is not open");
    const [id, window, packetBytes] = [reader.uint32(), reader.uint32(), reader.uint32()];
    if (packetBytes === 0) return source.end.fail("channel with packets of size 0");
    source.id = id;
    source.window = window;
    channel.isOpen = true;
    const numbers = [uint32(channel.number), uint32(window), uint32(Math.min(packetBytes, MAX_PACKET_BYTES))];
    target.send(MESSAGE.channelOpenConfirmation, ...numbers, payload.subarray(5 + reader.position));
  }

  #objection(type: string, rest: Buffer): string | null {
    if (type === "session") return null;
    const isPort = type === "direct-tcpip";
    if (!isPort && type !== "direct-streamlocal@openssh.com") return `channels of type ${printable(type)} are not served here`;
    if (!this.rules.forwarding) return `${isPort ? "port" : "socket"} forwarding is not allowed`;
    const reader = new WireReader(rest, "forwarding");
    const host = reader.text();
    this.rules.forwards("local", isPort ? `${host}:${reader.uint32()}` : host);
    return null;
  }

  #settle(channel: RelayedChannel): void {
    if (channel.client.isTold) channel.forget();
    if (channel.isGone) this.#channels.delete(channel.number);
  }
}

// --- internal ---

type Side = "client" | "node";

const DATA_START = 9;
const EXTENDED_START = 13;
const MAX_CHANNELS = 1_000;
/** What every implementation takes, and ssh2 as well. @see RFC 4253, 6.1 */
const MAX_PACKET_BYTES = 32_768;
const MAX_UINT32 = 2 ** 32 - 1;
const PROHIBITED = 1; // RFC 4254, 5.1
const RESOURCE_SHORTAGE = 4;

function halves(from: Side, channel: RelayedChannel): readonly [source: ChannelHalf, target: ChannelHalf] {
  return from === "client" ? [channel.client, channel.node] : [channel.node, channel.client];
}

function printable(text: string): string {
  return text.slice(0, 40).replace(/[^\x20-\x7e]/g, "?");
}
