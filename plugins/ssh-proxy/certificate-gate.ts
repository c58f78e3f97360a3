import { MezError } from "../../core/errors/error.js";
import type { Collection } from "../../core/plugin/collection.js";
import { type Guards, guardRefusal } from "../../core/ports/guard.js";
import type { SshCertificate } from "../../core/ssh/certificate.js";
import { checkCertificate } from "../../core/ssh/certificate-check.js";
import type { Clock } from "../../core/time/clock.js";
import type { TrustBundle } from "../ca/api.js";
import { type Access, type AccessSubject, guardSubjectOf, MACHINE_PREFIX } from "../roles/api.js";

/** Who a good certificate names. Roles are those of the certificate; those that the user has lost since then do not count. */
export interface CertifiedPerson extends AccessSubject {
  readonly certificate: SshCertificate;
}

/** Reads people from their certificates, and checks those against the live copies of the CA keys, the users and the machines. */
export class CertificateGate {
  #bundle: TrustBundle | undefined;
  #authorities: readonly Buffer[] = [];

  constructor(
    private readonly caKeys: Collection<TrustBundle>,
    private readonly access: Pick<Access, "standing" | "isSuperseded">,
    private readonly clock: Clock,
    private readonly guards: Guards,
  ) {}

  /**
   * @param login SSH login name at the proxy: the user's name or one of the certificate's principals.
   * @throws {MezError} `SSH_CERTIFICATE_REFUSED`, `ACCESS_DENIED`; the message may be shown to the client.
   */
  identify(certificate: SshCertificate, login: string, clientAddress: string): CertifiedPerson {
    const instance = certificate.extensions.get("instance@mezite");
    const machine = instance === undefined ? {} : { instance };
    const device = certificate.extensions.get("device@mezite");
    const place = device === undefined ? {} : { device };
    const since = certificate.extensions.get("since@mezite");
    const person = { user: certificate.keyId, since, roles: rolesOf(certificate), ...machine, ...place, certificate };
    this.check(person, clientAddress);
    if (instance !== undefined && this.access.isSuperseded(instance, Number(certificate.extensions.get("generation@mezite"))))
      throw new MezError("ACCESS_DENIED", `a newer certificate of ${person.user} is in use; read the files again`);
    // A machine runs command lines that others wrote: whatever login they leave to the proxy is as good as any.
    if (person.user.startsWith(MACHINE_PREFIX)) return person;
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
  check(person: CertifiedPerson, clientAddress: string): void {
    checkCertificate(person.certificate, {
      role: "user",
      authorities: this.#currentAuthorities(),
      now: this.clock.now(),
      sourceAddress: clientAddress,
    });
    const objection = this.objection(person);
    if (objection !== null) throw objection;
  }

  /** Why a person may not stay, whatever the certificate says; `null` when they may. */
  objection(person: AccessSubject): MezError | null {
    const standing = this.access.standing(person);
    if (standing !== null) return new MezError("ACCESS_DENIED", standing);
    const refusal = guardRefusal(this.guards, guardSubjectOf(person));
    return refusal === null ? null : new MezError("ACCESS_DENIED", refusal.message, { detail: refusal.detail });
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
