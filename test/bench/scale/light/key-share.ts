import { createPublicKey, decapsulate, diffieHellman, generateKeyPairSync, type KeyObject } from "node:crypto";

const X25519 = 0x00_1d; // RFC 8446, 4.2.7
const X25519_MLKEM768 = 0x11_ec; // draft-ietf-tls-ecdhe-mlkem, 4.1: ML-KEM first in all three

const X25519_BYTES = 32;
const MLKEM768_CIPHERTEXT_BYTES = 1_088; // FIPS 203, table 3
const MLKEM768_KEY_BYTES = 1_184;

/**
 * The keys that connections agree on secrets with: one pair for all connections of the process. The other side cannot tell, and
 * does for each what it does for a fresh one.
 */
export class KeyShare {
  readonly #x25519 = generateKeyPairSync("x25519");
  readonly #mlkem = generateKeyPairSync("ml-kem-768");
  /** What goes into the hello, by group. */
  readonly shares: ReadonlyMap<number, Buffer>;

  constructor() {
    const x25519 = rawPublicKey(this.#x25519.publicKey, X25519_BYTES);
    const mlkem = rawPublicKey(this.#mlkem.publicKey, MLKEM768_KEY_BYTES);
    this.shares = new Map([
      [X25519, x25519],
      [X25519_MLKEM768, Buffer.concat([mlkem, x25519])],
    ]);
  }

  /** The secret that the server's share makes. */
  secretWith(group: number, share: Buffer): Buffer {
    if (group === X25519) return this.#agree(share);
    if (group !== X25519_MLKEM768) throw new Error(`the server chose group ${group}`);
    const ciphertext = share.subarray(0, MLKEM768_CIPHERTEXT_BYTES);
    return Buffer.concat([
      decapsulate(this.#mlkem.privateKey, ciphertext),
      this.#agree(share.subarray(MLKEM768_CIPHERTEXT_BYTES)),
    ]);
  }

  #agree(share: Buffer): Buffer {
    const jwk = { kty: "OKP", crv: "X25519", x: share.toString("base64url") }; // read twice as fast as DER
    const publicKey = createPublicKey({ key: jwk, format: "jwk" });
    return diffieHellman({ privateKey: this.#x25519.privateKey, publicKey });
  }
}

// --- internal ---

/** It stands at the end of a SubjectPublicKeyInfo. */
function rawPublicKey(key: KeyObject, bytes: number): Buffer {
  return key.export({ format: "der", type: "spki" }).subarray(-bytes);
}
