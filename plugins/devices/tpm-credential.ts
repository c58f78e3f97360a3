import {
  constants,
  createCipheriv,
  createHash,
  createHmac,
  createPublicKey,
  diffieHellman,
  generateKeyPairSync,
  type KeyObject,
  publicEncrypt,
  randomBytes,
} from "node:crypto";
import type { TpmPublic } from "./tpm-public.js";

/** What TPM2_ActivateCredential takes: TPM2B_ID_OBJECT and TPM2B_ENCRYPTED_SECRET. */
export interface TpmCredential {
  readonly credential: Buffer;
  readonly credentialSecret: Buffer;
}

/**
 * Encrypts a secret for a TPM, which gives it out only if it also holds the object called `name`. So whoever has the
 * secret has the two in one TPM.
 * @param endorsement An endorsement key that wraps with AES.
 * @see TPM 2.0 Library, part 1, 24 "Credential Protection"; part 3, TPM2_MakeCredential
 */
export function makeCredential(endorsement: TpmPublic, name: Buffer, secret: Buffer): TpmCredential {
  const { seed, secret: encryptedSeed } =
    endorsement.kind === "rsa" ? encryptedSeedFor(endorsement.key) : sharedSeedWith(endorsement.key);
  const bits = endorsement.wrappingBits ?? 128;
  const cipher = createCipheriv(`aes-${bits}-cfb`, derive(seed, "STORAGE", name, bits), Buffer.alloc(16));
  const encrypted = Buffer.concat([cipher.update(sized(secret)), cipher.final()]);
  const integrity = createHmac("sha256", derive(seed, "INTEGRITY", Buffer.alloc(0), 256))
    .update(encrypted)
    .update(name)
    .digest();
  return { credential: sized(Buffer.concat([sized(integrity), encrypted])), credentialSecret: sized(encryptedSeed) };
}

// --- internal ---

const LABEL = "IDENTITY\0";

/** A seed, and what the TPM gets it from. */
interface Seed {
  readonly seed: Buffer;
  readonly secret: Buffer;
}

/** RSA-OAEP; part 1, B.10.4. */
function encryptedSeedFor(key: KeyObject): Seed {
  const seed = randomBytes(32);
  const how = { padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: "sha256", oaepLabel: Buffer.from(LABEL) };
  return { seed, secret: publicEncrypt({ key, ...how }, seed) };
}

/** One-pass ECDH, and KDFe with SHA-256, one round; part 1, C.6.1 and 11.4.10.3. */
function sharedSeedWith(key: KeyObject): Seed {
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const shared = diffieHellman({ privateKey, publicKey: key });
  const [ours, theirs] = [pointOf(createPublicKey(privateKey)), pointOf(key)];
  const seed = createHash("sha256").update(number(1)).update(shared).update(LABEL).update(ours.x).update(theirs.x).digest();
  return { seed, secret: Buffer.concat([sized(ours.x), sized(ours.y)]) };
}

function pointOf(key: KeyObject): { readonly x: Buffer; readonly y: Buffer } {
  const { x = "", y = "" } = key.export({ format: "jwk" });
  return { x: Buffer.from(x, "base64url"), y: Buffer.from(y, "base64url") };
}

/** KDFa with SHA-256, one round: SP 800-108 in counter mode; part 1, 11.4.10.2. */
function derive(key: Buffer, label: string, context: Buffer, bits: number): Buffer {
  const input = Buffer.concat([number(1), Buffer.from(`${label}\0`), context, number(bits)]);
  return createHmac("sha256", key)
    .update(input)
    .digest()
    .subarray(0, bits / 8);
}

function number(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

function sized(bytes: Buffer): Buffer {
  const length = Buffer.alloc(2);
  length.writeUInt16BE(bytes.length);
  return Buffer.concat([length, bytes]);
}
