import { type Channel, requireSsh2 } from "./ssh2-internals.js";

/** Lets what waits on a channel leave in full packets: each has its price, and what arrives over TLS fills half of one. */
export function installFullPackets(): void {
  const { prototype } = requireSsh2<{ Channel: { prototype: Channel } }>("lib/Channel.js").Channel;
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

// --- internal ---

/** Bounds how much is copied at a time. */
const BATCH_BYTES = 128 * 1024;
