import { createHash, createHmac, createSecretKey, type Hash } from "node:crypto";

/** What a cipher suite of TLS 1.3 comes with. */
export interface Suite {
  readonly hash: "sha256" | "sha384";
  readonly hashBytes: number;
  readonly cipher: "aes-128-gcm" | "aes-256-gcm";
  readonly keyBytes: number;
}

/** By the number in the server's hello. @see RFC 8446, B.4 */
export const SUITES: ReadonlyMap<number, Suite> = new Map([
  [0x13_01, { hash: "sha256", hashBytes: 32, cipher: "aes-128-gcm", keyBytes: 16 }],
  [0x13_02, { hash: "sha384", hashBytes: 48, cipher: "aes-256-gcm", keyBytes: 32 }],
]);

/** Secrets of the two directions. */
export interface TrafficSecrets {
  readonly client: Buffer;
  readonly server: Buffer;
}

/** The secrets of one handshake. @see RFC 8446, 7.1 */
export class KeySchedule {
  readonly #transcript: Hash;
  #secret: Buffer;

  constructor(
    private readonly suite: Suite,
    sharedSecret: Buffer,
  ) {
    this.#transcript = createHash(suite.hash);
    this.#secret = extract(suite, saltOf(suite), sharedSecret);
  }

  /** Adds a message of the handshake. */
  heard(message: Buffer): void {
    this.#transcript.update(message);
  }

  /** Of what was heard so far. */
  transcriptHash(): Buffer {
    return this.#transcript.copy().digest();
  }

  /** After the server's hello. */
  handshakeSecrets(): TrafficSecrets {
    return this.#trafficSecrets("c hs traffic", "s hs traffic");
  }

  /** After the server's Finished. */
  applicationSecrets(): TrafficSecrets {
    this.#secret = extract(this.suite, derived(this.suite, this.#secret), Buffer.alloc(this.suite.hashBytes));
    return this.#trafficSecrets("c ap traffic", "s ap traffic");
  }

  /** What a Finished message says. @see RFC 8446, 4.4.4 */
  finished(secret: Buffer): Buffer {
    const key = expandLabel(this.suite, secret, "finished", EMPTY, this.suite.hashBytes);
    return hmac(this.suite, key, this.transcriptHash());
  }

  #trafficSecrets(client: string, server: string): TrafficSecrets {
    const hash = this.transcriptHash();
    const of = (label: string): Buffer => expandLabel(this.suite, this.#secret, label, hash, this.suite.hashBytes);
    return { client: of(client), server: of(server) };
  }
}

/** @see RFC 8446, 7.1; no more than one block is ever asked for. */
export function expandLabel(suite: Suite, secret: Buffer, label: string, context: Buffer, bytes: number): Buffer {
  const name = `tls13 ${label}`;
  const head = Buffer.from([bytes >> 8, bytes & 255, name.length]);
  const info = Buffer.concat([head, Buffer.from(name), Buffer.from([context.length]), context, ONE]);
  return hmac(suite, secret, info).subarray(0, bytes);
}

// --- internal ---

const EMPTY = Buffer.alloc(0);
const ONE = Buffer.from([1]);

const salts = new Map<Suite, Buffer>();

/** What every handshake without a key from before begins with. */
function saltOf(suite: Suite): Buffer {
  const known = salts.get(suite);
  if (known !== undefined) return known;
  const zeros = Buffer.alloc(suite.hashBytes);
  const made = derived(suite, extract(suite, zeros, zeros));
  salts.set(suite, made);
  return made;
}

function derived(suite: Suite, secret: Buffer): Buffer {
  return expandLabel(suite, secret, "derived", createHash(suite.hash).digest(), suite.hashBytes);
}

function extract(suite: Suite, salt: Buffer, secret: Buffer): Buffer {
  return hmac(suite, salt, secret);
}

/** A key as an object: Node takes three times as long with one that is a buffer. */
function hmac({ hash }: Suite, key: Buffer, message: Buffer): Buffer {
  return createHmac(hash, createSecretKey(key)).update(message).digest();
}
