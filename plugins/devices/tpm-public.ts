import { createHash, createPublicKey, type KeyObject } from "node:crypto";
import { MezError } from "../../core/errors/error.js";

/** The public area of an object in a TPM. */
export interface TpmPublic {
  readonly key: KeyObject;
  /** Which object it is, attributes included: algorithm and digest of the public area. */
  readonly name: Buffer;
  readonly attributes: TpmAttributes;
  readonly kind: "ecc-p256" | "rsa";
  /** Bits of the AES key with which a storage key wraps what is under it; `null` for a key that only signs. */
  readonly wrappingBits: number | null;
}

export interface TpmAttributes {
  /** It was made in this TPM, has never been outside, and cannot leave. */
  readonly isFixed: boolean;
  readonly isRestricted: boolean;
  readonly decrypts: boolean;
  readonly signs: boolean;
}

/**
 * Reads a TPMT_PUBLIC: ECC on P-256 or RSA, named by SHA-256.
 * @throws {MezError} `INVALID_ARGUMENT`
 * @see TPM 2.0 Library, part 2, 12.2.4 "TPMT_PUBLIC"
 */
export function parseTpmPublic(bytes: Buffer): TpmPublic {
  const reader = new Reader(bytes);
  const type = reader.u16();
  if (reader.u16() !== ALG_SHA256) throw unreadable("its name algorithm is not SHA-256");
  const attributes = attributesOf(reader.u32());
  reader.sized(); // authPolicy
  const wrappingBits = symmetricBits(reader);
  const read = type === ALG_ECC ? readEcc(reader) : type === ALG_RSA ? readRsa(reader) : null;
  if (read === null) throw unreadable(`its type is 0x${type.toString(16)}`);
  reader.end();
  const algorithm = Buffer.from([ALG_SHA256 >> 8, ALG_SHA256 & 0xff]);
  const name = Buffer.concat([algorithm, createHash("sha256").update(bytes).digest()]);
  return { ...read, name, attributes, wrappingBits };
}

// --- internal ---

// TPM 2.0 Library, part 2, 6.3 "TPM_ALG_ID" and 6.4 "TPM_ECC_CURVE".
const ALG_RSA = 0x0001;
const ALG_AES = 0x0006;
const ALG_SHA256 = 0x000b;
const ALG_NULL = 0x0010;
const ALG_ECC = 0x0023;
const CURVE_P256 = 0x0003;

// Part 2, 8.3 "TPMA_OBJECT".
const FIXED_TPM = 1 << 1;
const FIXED_PARENT = 1 << 4;
const SENSITIVE_DATA_ORIGIN = 1 << 5;
const RESTRICTED = 1 << 16;
const DECRYPT = 1 << 17;
const SIGN = 1 << 18;

function attributesOf(bits: number): TpmAttributes {
  const fixed = FIXED_TPM | FIXED_PARENT | SENSITIVE_DATA_ORIGIN;
  return {
    isFixed: (bits & fixed) === fixed,
    isRestricted: (bits & RESTRICTED) !== 0,
    decrypts: (bits & DECRYPT) !== 0,
    signs: (bits & SIGN) !== 0,
  };
}

function symmetricBits(reader: Reader): number | null {
  const algorithm = reader.u16();
  if (algorithm === ALG_NULL) return null;
  const bits = reader.u16();
  reader.u16(); // mode
  if (algorithm !== ALG_AES) throw unreadable("it wraps with something else than AES");
  return bits;
}

function skipScheme(reader: Reader): void {
  if (reader.u16() !== ALG_NULL) reader.u16();
}

function readEcc(reader: Reader): Pick<TpmPublic, "key" | "kind"> {
  skipScheme(reader);
  if (reader.u16() !== CURVE_P256) throw unreadable("its curve is not P-256");
  skipScheme(reader); // kdf
  const [x, y] = [reader.sized(), reader.sized()].map((part) => leftPadded(part, 32).toString("base64url"));
  return { kind: "ecc-p256", key: keyOf({ kty: "EC", crv: "P-256", x: x ?? "", y: y ?? "" }) };
}

function readRsa(reader: Reader): Pick<TpmPublic, "key" | "kind"> {
  skipScheme(reader);
  reader.u16(); // keyBits
  const exponent = Buffer.alloc(4);
  exponent.writeUInt32BE(reader.u32() || 65_537);
  const n = reader.sized().toString("base64url");
  return {
    kind: "rsa",
    key: keyOf({ kty: "RSA", n, e: exponent.subarray(exponent.findIndex((b) => b !== 0)).toString("base64url") }),
  };
}

function keyOf(jwk: Readonly<Record<string, string>>): KeyObject {
  try {
    return createPublicKey({ key: { ...jwk }, format: "jwk" });
  } catch (cause) {
    throw unreadable("it is no key", cause);
  }
}

function leftPadded(bytes: Buffer, length: number): Buffer {
  if (bytes.length > length) throw unreadable("a coordinate is too long");
  return Buffer.concat([Buffer.alloc(length - bytes.length), bytes]);
}

function unreadable(why: string, cause?: unknown): MezError {
  return new MezError(
    "INVALID_ARGUMENT",
    `the public part of a TPM's key cannot be used: ${why}`,
    cause === undefined ? {} : { cause },
  );
}

/** Big-endian numbers and buffers with their length in front. */
class Reader {
  #at = 0;

  constructor(private readonly bytes: Buffer) {}

  u16(): number {
    return this.#take(2).readUInt16BE();
  }

  u32(): number {
    return this.#take(4).readUInt32BE();
  }

  sized(): Buffer {
    return this.#take(this.u16());
  }

  end(): void {
    if (this.#at !== this.bytes.length) throw unreadable("bytes are left over");
  }

  #take(length: number): Buffer {
    if (this.#at + length > this.bytes.length) throw unreadable("it ends too early");
    this.#at += length;
    return this.bytes.subarray(this.#at - length, this.#at);
  }
}
