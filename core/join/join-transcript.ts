import { createHash, createHmac, createPublicKey, verify } from "node:crypto";

export const TOKEN_ID_BYTES = 16;
export const CLIENT_NONCE_BYTES = 32;
export const SERVER_NONCE_BYTES = 56;

/** Stands for the fingerprint where TLS ends before the server, and the certificate is verified by other means. */
export const NO_FINGERPRINT = Buffer.alloc(32);

/** What both sides agree on before the request. Every part has a fixed length, so that no two joins read the same. */
export interface JoinTranscript {
  /** 16 bytes. */
  readonly tokenId: Buffer;
  /** 32 bytes. */
  readonly clientNonce: Buffer;
  /** 56 bytes. */
  readonly serverNonce: Buffer;
  /** SHA-256 over the DER of the server's TLS certificate, as the side that computes sees it; or `NO_FINGERPRINT`. */
  readonly fingerprint: Buffer;
  /** SHA-256 of the trust bundle. */
  readonly trustBundleHash: Buffer;
}

/** What the server shows in step 2: 32 bytes that only a holder of the token's server key can make. */
export function serverProof(serverKey: Buffer, transcript: JoinTranscript): Buffer {
  return createHmac("sha256", serverKey)
    .update("mezite-join-server-v1")
    .update(
      Buffer.concat([
        transcript.tokenId,
        transcript.clientNonce,
        transcript.serverNonce,
        transcript.fingerprint,
        transcript.trustBundleHash,
      ]),
    )
    .digest();
}

/** What the client signs in step 4. */
export function clientStatement(transcript: JoinTranscript, requestHash: Buffer): Buffer {
  const { tokenId, clientNonce, serverNonce, fingerprint, trustBundleHash } = transcript;
  return Buffer.concat([
    Buffer.from("mezite-join-client-v1"),
    tokenId,
    clientNonce,
    serverNonce,
    fingerprint,
    trustBundleHash,
    requestHash,
  ]);
}

/** Checks the client's signature over its statement. @param publicKey Ed25519, 32 bytes raw. */
export function isSignedBy(publicKey: Buffer, statement: Buffer, signature: Buffer): boolean {
  const key = createPublicKey({ key: Buffer.concat([SPKI_PREFIX, publicKey]), format: "der", type: "spki" });
  return signature.length === 64 && verify(null, statement, key, signature);
}

/** SHA-256 of bytes, 32 bytes. */
export function sha256(bytes: Uint8Array): Buffer {
  return createHash("sha256").update(bytes).digest();
}

// --- internal ---

const SPKI_PREFIX = Buffer.from("302a300506032b6570032100", "hex"); // RFC 8410, 4: Ed25519 key follows
