import { checkServerIdentity, type PeerCertificate } from "node:tls";
import { ROLE_ORGANIZATION_PREFIX } from "../plugin/host-identity.js";

/**
 * Whether a certificate whose chain is already checked is that of an auth service at `host`; the error says what is wrong.
 * A node or proxy can choose its names; that it is no auth service stands in its certificate by the word of the Host CA.
 */
export function checkAuthServer(host: string, certificate: PeerCertificate): Error | undefined {
  return checkServerIdentity(host, certificate) ?? checkRole(certificate);
}

// --- internal ---

function checkRole({ subject }: PeerCertificate): Error | undefined {
  const organization = String(subject.O ?? "");
  if (!organization.startsWith(ROLE_ORGANIZATION_PREFIX)) return undefined;
  const role = organization.slice(ROLE_ORGANIZATION_PREFIX.length);
  return role === "auth" ? undefined : new Error(`this is the certificate of a ${role} of the cluster, not of its auth service`);
}
