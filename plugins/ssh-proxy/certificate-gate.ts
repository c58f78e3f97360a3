import { MezError } from "../../core/errors/error.js";
import type { Collection } from "../../core/plugin/collection.js";
import type { SshCertificate } from "../../core/ssh/certificate.js";
import { checkCertificate } from "../../core/ssh/certificate-check.js";
import type { Clock } from "../../core/time/clock.js";
import type { TrustBundle } from "../ca/api.js";
import type { UserEntry } from "../roles/api.js";

/** Who a good certificate names. */
export interface CertifiedPerson {
  readonly user: string;
  /** As the certificate names them; those that the user has lost since then do not count. */
  readonly roles: readonly string[];
  readonly certificate: SshCertificate;
}

/** Reads people from their certificates, and checks those against the live copies of the CA keys and the users. */
export class CertificateGate {
  #bundle: TrustBundle | undefined;
  #authorities: readonly Buffer[] = [];

  constructor(
    private readonly caKeys: Collection<TrustBundle>,
    private readonly users: Collection<UserEntry>,
    private readonly clock: Clock,
  ) {}

  /**
   * @param login SSH login name at the proxy: the user's name or one of the certificate's principals.
   * @throws {MezError} `SSH_CERTIFICATE_REFUSED`, `ACCESS_DENIED`; the message may be shown to the client.
   */
  identify(certificate: SshCertificate, login: string, clientAddress: string): CertifiedPerson {
    const person = { user: certificate.keyId, roles: rolesOf(certificate), certificate };
    this.check(person, clientAddress);
    if (login !== person.user && !certificate.principals.includes(login))
      throw new MezError(
        "ACCESS_DENIED",
        `log in to the proxy as ${person.user}: ssh -J ${person.user}@…, or "User ${person.user}" in ssh_config`,
      );
    return person;
  }

  /**
   * Checks again, when time has passed since the login.
   * @throws {MezError} as `identify`
   */
  check({ user, certificate }: CertifiedPerson, clientAddress: string): void {
    checkCertificate(certificate, {
      role: "user",
      authorities: this.#currentAuthorities(),
      now: this.clock.now(),
      sourceAddress: clientAddress,
    });
    if (!this.isUser(user)) throw new MezError("ACCESS_DENIED", `${user} is not a user of this cluster any more`);
  }

  isUser(user: string): boolean {
    return this.users.get(user) !== undefined;
  }

  /** Tells whether the User CA signed it, so that what it says is true, expired or not. */
  isOurs(certificate: SshCertificate): boolean {
    try {
      const now = new Date(Number(certificate.validAfterSeconds) * 1000);
      checkCertificate(certificate, { role: "user", authorities: this.#currentAuthorities(), now });
      return true;
    } catch (error) {
      return error instanceof MezError && OURS.has(String(error.fields.rule));
    }
  }

  #currentAuthorities(): readonly Buffer[] {
    const bundle = this.caKeys.get("user");
    if (bundle !== this.#bundle) {
      this.#bundle = bundle;
      this.#authorities = (bundle?.sshPublicKeys ?? []).map((key) => Buffer.from(key, "base64"));
    }
    return this.#authorities;
  }
}

// --- internal ---

/** Rules that are looked at after the signature. */
const OURS: ReadonlySet<string> = new Set(["validity", "principal", "critical-option", "source-address"]);

function rolesOf(certificate: SshCertificate): readonly string[] {
  const text = certificate.extensions.get("roles@mezite");
  try {
    const roles: unknown = JSON.parse(text ?? "");
    if (Array.isArray(roles) && roles.every((role): role is string => typeof role === "string")) return roles;
  } catch {
    // Falls through to the same answer as any other text that is no list.
  }
  throw new MezError("SSH_CERTIFICATE_REFUSED", "the certificate names no roles; log in again", { fields: { rule: "roles" } });
}
