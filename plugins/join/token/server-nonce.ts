import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import { SERVER_NONCE_BYTES } from "../../../core/join/join-transcript.js";
import type { Clock } from "../../../core/time/clock.js";

const RANDOM_BYTES = 16;
const EXPIRY_BYTES = 8;
const LIFETIME_MS = 60_000;

/**
 * Nonces that the server need not remember: random bytes and an expiry, sealed with a key of this process to the token
 * id and client nonce that they answer. However many joins are begun, no memory is held.
 */
export class ServerNonces {
  readonly #key = randomBytes(32);

  constructor(private readonly clock: Clock) {}

  issue(tokenId: Buffer, clientNonce: Buffer): Buffer {
    const head = Buffer.alloc(RANDOM_BYTES + EXPIRY_BYTES);
    randomBytes(RANDOM_BYTES).copy(head);
    head.writeBigUInt64BE(BigInt(this.clock.now().getTime() + LIFETIME_MS), RANDOM_BYTES);
    return Buffer.concat([head, this.#seal(head, tokenId, clientNonce)]);
  }

  /** True for a nonce that this process issued for the same id and client nonce within the last minute. */
  accepts(nonce: Buffer, tokenId: Buffer, clientNonce: Buffer): boolean {
    if (nonce.length !== SERVER_NONCE_BYTES) return false;
    const head = nonce.subarray(0, RANDOM_BYTES + EXPIRY_BYTES);
    if (!timingSafeEqual(nonce.subarray(head.length), this.#seal(head, tokenId, clientNonce))) return false;
    return head.readBigUInt64BE(RANDOM_BYTES) > BigInt(this.clock.now().getTime());
  }

  #seal(head: Buffer, tokenId: Buffer, clientNonce: Buffer): Buffer {
    return createHmac("sha256", this.#key).update(head).update(tokenId).update(clientNonce).digest();
  }
}
