import { MezError } from "../errors/error.js";
import type { SshCertificate } from "./certificate.js";

/** What a user certificate of this cluster says about its holder. */
export interface CertificateClaims {
  readonly user: string;
  readonly roles: readonly string[];
  /** For a machine: the instance of its agent identity, and how often that was renewed. */
  readonly machine: { readonly instance: string; readonly generation: number } | null;
  /** For a person: when the account was made, `null` in a certificate of an earlier release. */
  readonly since: string | null;
  /** The login session that it was issued in, `null` when it names none. */
  readonly loginSessionId: string | null;
  /** Id of the enrolled device that the login was made at, `null` for none. */
  readonly device: string | null;
  readonly permitsTerminal: boolean;
  readonly permitsPortForwarding: boolean;
  readonly permitsAgentForwarding: boolean;
  /** Runs in place of whatever the client asks for. */
  readonly forceCommand: string | null;
}

/**
 * Reads the claims of a certificate that has been checked.
 * @throws {MezError} `SSH_CERTIFICATE_REFUSED` when it names no roles, as a certificate from elsewhere
 */
export function claimsOf(certificate: SshCertificate): CertificateClaims {
  const { extensions, criticalOptions } = certificate;
  const instance = extensions.get("instance@mezite");
  return {
    user: certificate.keyId,
    roles: parseRoles(extensions.get("roles@mezite")),
    machine: instance === undefined ? null : { instance, generation: Number(extensions.get("generation@mezite")) },
    since: extensions.get("since@mezite") || null,
    loginSessionId: extensions.get("session@mezite") || null,
    device: extensions.get("device@mezite") || null,
    permitsTerminal: extensions.has("permit-pty"),
    permitsPortForwarding: extensions.has("permit-port-forwarding"),
    permitsAgentForwarding: extensions.has("permit-agent-forwarding"),
    forceCommand: criticalOptions.get("force-command") ?? null,
  };
}

// --- internal ---

function parseRoles(text: string | undefined): readonly string[] {
  try {
    const roles: unknown = JSON.parse(text ?? "");
    if (Array.isArray(roles) && roles.every((role) => typeof role === "string")) return roles;
  } catch {
    // said below
  }
  throw new MezError("SSH_CERTIFICATE_REFUSED", "the certificate names no roles; log in again", { fields: { rule: "roles" } });
}
