import { createPrivateKey } from "node:crypto";
import type { HostCredentials } from "../../../../core/plugin/host-identity.js";
import type { LightIdentity } from "./light-tls.js";

/** What TLS needs of an agent's credentials. */
export function lightIdentityOf({
  certificatePem,
  privateKeyPem,
}: Pick<HostCredentials, "certificatePem" | "privateKeyPem">): LightIdentity {
  const base64 = certificatePem.replace(/-----[A-Z ]+-----/g, "");
  return { key: createPrivateKey(privateKeyPem.expose()), certificate: Buffer.from(base64, "base64") };
}
