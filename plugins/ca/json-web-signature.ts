import type { JwtSigner } from "./authority.js";
import { requireTrueSignature } from "./x509-certificate.js";

/**
 * Signs claims with ES256, compact form.
 * @throws {MezError} `KEY_BACKEND_UNAVAILABLE`; whatever the signer throws
 * @see RFC 7515, 3.1, and RFC 7518, 3.4
 */
export async function signedToken(claims: Readonly<Record<string, unknown>>, signer: JwtSigner): Promise<string> {
  const signed = `${encoded({ alg: "ES256", kid: signer.keyId, typ: "JWT" })}.${encoded(claims)}`;
  const data = Buffer.from(signed, "latin1");
  const signature = await signer.sign(data);
  requireTrueSignature(data, signature, signer);
  return `${signed}.${signature.toString("base64url")}`;
}

// --- internal ---

function encoded(value: Readonly<Record<string, unknown>>): string {
  return Buffer.from(JSON.stringify(value)).toString("base64url");
}
