import crypto from "node:crypto";
import { requireNotLoaded, requireSsh2 } from "./ssh2-internals.js";

/**
 * Pads ssh2's packets from a store of random bytes: asking the generator for a dozen bytes at each packet cost more than
 * encrypting it. Each byte is used once, and for nothing but padding.
 */
export function installPadding(): void {
  requireNotLoaded("lib/protocol/crypto.js");
  const { randomFillSync } = crypto;
  crypto.randomFillSync = fillPadding as typeof randomFillSync;
  try {
    requireSsh2("lib/protocol/crypto.js"); // takes the function as it is loaded, for padding alone
  } finally {
    crypto.randomFillSync = randomFillSync;
  }
}

// --- internal ---

const { randomFillSync } = crypto;
const store = Buffer.alloc(16_384);
let used = store.length;

/** Fills `length` bytes from `start` on. */
export function fillPadding(packet: Buffer, start: number, length: number): Buffer {
  if (used + length > store.length) {
    randomFillSync(store);
    used = 0;
  }
  store.copy(packet, start, used, used + length);
  used += length;
  return packet;
}
