import { randomBytes } from "node:crypto";
import type { Duplex } from "node:stream";
import { type SessionEncryption, STREAM_KEY_BYTES, STREAM_SECRET_BYTES } from "./tunnel-protocol.js";

/** A stream that an agent was asked for and has not brought yet. */
export interface ExpectedStream {
  readonly key: Buffer;
  /** Lets it come without TLS; `null` when it may not. */
  readonly secret: Buffer | null;
  /** Never rejects; stay with `cancel()` when it is no longer wanted. */
  readonly arrived: Promise<Duplex>;
  cancel(): void;
}

/** Matches the connections that agents dial for streams with the requests for them. */
export class Rendezvous {
  readonly #expected = new Map<string, Waiting>();

  /**
   * Makes a key that only `nodeName` may redeem, once.
   * @param encryption `ssh` lets the stream come without TLS.
   */
  expect(nodeName: string, encryption: SessionEncryption = "tls"): ExpectedStream {
    const key = randomBytes(STREAM_KEY_BYTES);
    const name = key.toString("hex");
    const secret = encryption === "ssh" ? randomBytes(STREAM_SECRET_BYTES) : null;
    const arrived = new Promise<Duplex>((resolve) => this.#expected.set(name, { nodeName, secret, resolve }));
    return { key, secret, arrived, cancel: () => void this.#expected.delete(name) };
  }

  /** The secret of a stream that may come without TLS; `null` when none with that key may. */
  secretOf(key: Buffer): Buffer | null {
    return this.#expected.get(key.toString("hex"))?.secret ?? null;
  }

  /** Hands over a stream that came without TLS, to whoever knew its secret; false when nobody waits for it any more. */
  bringProven(key: Buffer, stream: Duplex): boolean {
    const waiting = this.#expected.get(key.toString("hex"));
    return waiting !== undefined && waiting.secret !== null && this.bring(key, waiting.nodeName, () => stream);
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

// --- internal ---

interface Waiting {
  readonly nodeName: string;
  readonly secret: Buffer | null;
  readonly resolve: (stream: Duplex) => void;
}
