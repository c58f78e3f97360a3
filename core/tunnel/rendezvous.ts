import { randomBytes } from "node:crypto";
import type { Duplex } from "node:stream";
import { STREAM_KEY_BYTES } from "./tunnel-protocol.js";

/** A stream that an agent was asked for and has not brought yet. */
export interface ExpectedStream {
  readonly key: Buffer;
  /** Never rejects; stay with `cancel()` when it is no longer wanted. */
  readonly arrived: Promise<Duplex>;
  cancel(): void;
}

/** Matches the connections that agents dial for streams with the requests for them. */
export class Rendezvous {
  readonly #expected = new Map<string, { nodeName: string; resolve: (stream: Duplex) => void }>();

  /** Makes a key that only `nodeName` may redeem, once. */
  expect(nodeName: string): ExpectedStream {
    const key = randomBytes(STREAM_KEY_BYTES);
    const name = key.toString("hex");
    const arrived = new Promise<Duplex>((resolve) => this.#expected.set(name, { nodeName, resolve }));
    return { key, arrived, cancel: () => void this.#expected.delete(name) };
  }

  /** Hands a stream over; false when nobody waits for that key from that node. */
  bring(key: Buffer, nodeName: string, stream: () => Duplex): boolean {
    const name = key.toString("hex");
    const waiting = this.#expected.get(name);
    if (waiting === undefined || waiting.nodeName !== nodeName) return false;
    this.#expected.delete(name);
    waiting.resolve(stream());
    return true;
  }
}
