import { createPrivateKey, createPublicKey, hkdfSync, randomBytes, sign } from "node:crypto";
import { MezError } from "../errors/error.js";
import { Secret } from "../plugin/secret.js";

/** The halves of a token's keys that the server keeps: enough to prove itself and to check, useless for joining. */
export interface JoinTokenServerKeys {
  /** 16 bytes. */
  readonly id: Buffer;
  /** 32 bytes, for the server's HMAC. */
  readonly serverKey: Buffer;
  /** Ed25519, 32 bytes raw. */
  readonly clientPublicKey: Buffer;
}

/** All keys that follow from a token. */
export interface JoinTokenKeys extends JoinTokenServerKeys {
  /** Signs with the Ed25519 client key: 64 bytes, RFC 8032. */
  sign(data: Uint8Array): Buffer;
}

/** Derives the keys of a token. */
export interface JoinTokenDerivation {
  /** @throws {MezError} `INVALID_ARGUMENT` when `token` is not 64 hex characters */
  derive(token: Secret): JoinTokenKeys;
}

/** Makes a join token: 32 random bytes as 64 hex characters. */
export function generateJoinToken(): Secret {
  return new Secret(randomBytes(TOKEN_BYTES).toString("hex"));
}

/**
 * Derives everything that follows from a token with HKDF-SHA256, each part under its own label. Knowing the parts that
 * the server keeps does not lead back to the token or to its private key.
 * @throws {MezError} `INVALID_ARGUMENT` when `token` is not 64 hex characters
 * @see plugins/join/token/README.md; RFC 5869
 */
export function deriveJoinTokenKeys(token: Secret): JoinTokenKeys {
  const text = token.expose().trim();
  if (!/^[0-9a-fA-F]{64}$/.test(text)) {
    throw new MezError(
      "INVALID_ARGUMENT",
      `a join token is 64 hex characters, this one has ${text.length} characters or others among them`,
    );
  }
  const input = Buffer.from(text, "hex");
  const part = (label: string, bytes: number): Buffer =>
    Buffer.from(hkdfSync("sha256", input, "", `mezite-join-token-v1 ${label}`, bytes));
  const privateKey = createPrivateKey({ key: Buffer.concat([PKCS8_PREFIX, part("client", 32)]), format: "der", type: "pkcs8" });
  const publicKey = createPublicKey(privateKey).export({ format: "der", type: "spki" });
  return {
    id: part("id", 16),
    serverKey: part("server", 32),
    clientPublicKey: publicKey.subarray(publicKey.length - 32),
    sign: (data) => sign(null, data, privateKey),
  };
}

// --- internal ---

const TOKEN_BYTES = 32;
const PKCS8_PREFIX = Buffer.from("302e020100300506032b657004220420", "hex"); // RFC 8410, 7: Ed25519 seed follows
