import { Duplex } from "node:stream";
import { markLending, offerBytes } from "../flow/lending.js";
import { owned } from "../flow/lent-memory.js";
import { markWriteNow } from "../flow/write-now.js";
import { type Channel, type Connection, requireSsh2 } from "./ssh2-internals.js";
import { transportOf } from "./transport.js";

/**
 * Lets the bytes of channels pass without a copy and without piling up: what comes is lent to whoever takes it; what
 * waits leaves in full packets, for each has its price; and nothing more is sent while the peer does not read.
 */
export function installChannelFlow(): void {
  const { prototype } = requireSsh2<{ Channel: { prototype: FlowingChannel } }>("lib/Channel.js").Channel;
  const { _write } = prototype;
  prototype.push = function (chunk) {
    if (chunk === null) return push.call(this, null);
    if (!offerBytes(this, chunk)) return push.call(this, owned(chunk));
    return !this.isPaused();
  };
  prototype._write = function (data, encoding, done) {
    _write.call(this, data, encoding, (error?: Error | null) => {
      const transport = transportOf(this._client._protocol);
      if (transport.isBehind) transport.onRoom(() => done(error));
      else done(error);
    });
  };
  prototype._writev = function (chunks, done) {
    let next = 0;
    const writeMore = (error?: Error | null): void => {
      if (error || next === chunks.length) return done(error);
      const batch: Buffer[] = [];
      for (let bytes = 0; next < chunks.length && bytes < BATCH_BYTES; next += 1) {
        const chunk = chunks[next]?.chunk as Buffer;
        batch.push(chunk);
        bytes += chunk.length;
      }
      const [only] = batch;
      this._write(only !== undefined && batch.length === 1 ? only : Buffer.concat(batch), "binary", writeMore);
    };
    writeMore();
  };
}

/** Makes a channel lend what comes, to whoever takes it with `takeBytes`. */
export function lendFrom(channel: Channel): void {
  markLending(channel);
  // What is taken never passes `push`, after which a stream would ask for more by itself.
  channel.on("resume", () => channel._read(0));
  const { _protocol: protocol } = (channel as FlowingChannel)._client;
  const transport = transportOf(protocol);
  const { outgoing } = channel as FlowingChannel;
  markWriteNow(channel, (bytes) => {
    const { id, packetSize, window, state } = outgoing;
    if (state !== "open" || bytes.length > window || channel.writableLength > 0 || channel.writableEnded) return false;
    if (transport.isBehind || protocol._kexinit !== undefined) return false;
    for (let start = 0; start < bytes.length; start += packetSize)
      protocol.channelData(id, bytes.length <= packetSize ? bytes : bytes.subarray(start, start + packetSize));
    outgoing.window = window - bytes.length;
    return true;
  });
}

// --- internal ---

/** Bounds how much is copied at a time. */
const BATCH_BYTES = 128 * 1024;

const { push } = Duplex.prototype;

interface FlowingChannel extends Channel {
  readonly _client: Connection;
  readonly outgoing: { readonly id: number; readonly packetSize: number; readonly state: string; window: number };
}
