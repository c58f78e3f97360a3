import { createECDH, type KeyObject } from "node:crypto";

const ORDER = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n; // SEC 2, 2.4.2

/**
 * Signs a digest with ECDSA over P-256, which node:crypto does not do: it signs messages. For tests; its arithmetic takes different time
 * for different keys.
 * @returns ECDSA-Sig-Value, DER.
 * @see FIPS 186-5, 6.4.1
 */
export function signDigest(digest: Buffer, privateKey: KeyObject): Buffer {
  const secret = numberOf(Buffer.from(privateKey.export({ format: "jwk" }).d ?? "", "base64url"));
  const once = createECDH("prime256v1");
  const r = numberOf(once.generateKeys().subarray(1, 33)) % ORDER;
  const s = (power(numberOf(once.getPrivateKey()), ORDER - 2n) * (numberOf(digest) + r * secret)) % ORDER;
  const body = Buffer.concat([integer(r), integer(s)]);
  return Buffer.concat([Buffer.of(0x30, body.length), body]);
}

// --- internal ---

function numberOf(bytes: Buffer): bigint {
  return BigInt(`0x${bytes.toString("hex")}`);
}

function power(base: bigint, exponent: bigint): bigint {
  let result = 1n;
  let square = base;
  for (let rest = exponent; rest > 0n; rest >>= 1n) {
    if ((rest & 1n) === 1n) result = (result * square) % ORDER;
    square = (square * square) % ORDER;
  }
  return result;
}

function integer(value: bigint): Buffer {
  const hex = value.toString(16);
  const digits = Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, "hex");
  const bytes = (digits[0] ?? 0) >= 0x80 ? Buffer.concat([Buffer.of(0), digits]) : digits;
  return Buffer.concat([Buffer.of(0x02, bytes.length), bytes]);
}
