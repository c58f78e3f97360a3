import { MezError } from "../../../core/errors/error.js";

const HALF_BYTES = 32;

/**
 * Turns an ECDSA signature of P-256 as KMS gives it into r || s.
 * @param der ECDSA-Sig-Value. @see RFC 3279, 2.2.3
 * @throws {MezError} `KEY_BACKEND_UNAVAILABLE` for anything else
 */
export function rawSignature(der: Buffer): Buffer {
  const [sequence, rest] = element(der, SEQUENCE);
  const [r, behind] = element(sequence, INTEGER);
  const [s, nothing] = element(behind, INTEGER);
  if (rest.length > 0 || nothing.length > 0) throw wrong();
  return Buffer.concat([padded(r), padded(s)]);
}

// --- internal ---

const SEQUENCE = 0x30;
const INTEGER = 0x02;

/** The contents of the first element, and what comes after it. No element here is longer than 127 bytes. */
function element(bytes: Buffer, tag: number): readonly [Buffer, Buffer] {
  const length = bytes[1] ?? 0x80;
  if (bytes[0] !== tag || length >= 0x80 || bytes.length < 2 + length) throw wrong();
  return [bytes.subarray(2, 2 + length), bytes.subarray(2 + length)];
}

function padded(integer: Buffer): Buffer {
  const digits = integer[0] === 0 ? integer.subarray(1) : integer;
  if (integer.length === 0 || digits.length > HALF_BYTES) throw wrong();
  return Buffer.concat([Buffer.alloc(HALF_BYTES - digits.length), digits]);
}

function wrong(): MezError {
  return new MezError("KEY_BACKEND_UNAVAILABLE", "AWS KMS answered with something that is no signature; try again");
}
