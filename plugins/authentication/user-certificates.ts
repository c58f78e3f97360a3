import { createHash, randomUUID } from "node:crypto";
import { isMezError, MezError } from "../../core/errors/error.js";
import type { Caller } from "../../core/plugin/caller.js";
import type { Collection } from "../../core/plugin/collection.js";
import type { Database } from "../../core/plugin/database.js";
import { type Guards, requireNoRefusal } from "../../core/ports/guard.js";
import type { Clock } from "../../core/time/clock.js";
import { formatDuration } from "../../core/time/duration.js";
import type { CertificateAuthorities } from "../ca/api.js";
import type { Access, UserEntry } from "../roles/api.js";
import { hasSession } from "./login-session-repository.js";
import type { LoginSessions } from "./login-sessions.js";
import { type GrantedTtl, grantTtl } from "./ttl.js";

export interface CertificateRequest {
  /** OpenSSH wire form, `null` for none. */
  readonly sshPublicKey: Buffer | null;
  /** SubjectPublicKeyInfo, DER, `null` for none. */
  readonly x509PublicKey: Buffer | null;
  /** 0 asks for the default. */
  readonly ttlSeconds: number;
}

export interface IssuedCertificates {
  readonly sshCertificate: Buffer | null;
  readonly x509Certificate: string | null;
  readonly expiresAt: Date;
  readonly logins: readonly string[];
  readonly notice: string;
}

export interface UserCertificatesParts {
  readonly database: Database;
  readonly sessions: Pick<LoginSessions, "expiryOf">;
  readonly authorities: CertificateAuthorities;
  readonly access: Access;
  readonly users: Pick<Collection<UserEntry>, "get">;
  readonly defaultTtlSeconds: number;
  readonly guards: Guards;
  readonly clock: Clock;
}

/** Issues short-lived certificates to people who have logged in. */
export class UserCertificates {
  constructor(private readonly parts: UserCertificatesParts) {}

  /**
   * Certificates for the person's current roles, which do not outlive the login. They are handed out only once the audit record
   * is durable, and the login has not ended until then.
   * @throws {MezError} `INVALID_ARGUMENT` without a key or for one that the authority refuses; `ACCESS_DENIED` by a guard;
   * `UNAUTHENTICATED` when the login has ended
   */
  async issue(
    person: Caller & { readonly kind: "user" },
    request: CertificateRequest,
    clientAddress: string,
  ): Promise<IssuedCertificates> {
    if (request.sshPublicKey === null && request.x509PublicKey === null)
      throw new MezError("INVALID_ARGUMENT", "a public key is missing");
    const subject = { user: person.name, roles: person.roles };
    const options = this.parts.access.sessionOptions(subject);
    const logins = this.parts.access.logins(subject);
    const loginEndsAt = await this.parts.sessions.expiryOf(person.sessionId);
    if (loginEndsAt === undefined) throw loginHasEnded();
    const { ttlSeconds, notice } = this.#lifetime(person.name, request.ttlSeconds, options.maxSessionTtlSeconds, loginEndsAt);

    const sshIssued =
      request.sshPublicKey === null
        ? null
        : this.parts.authorities
            .issueUserCertificate({
              publicKeyBlob: request.sshPublicKey,
              keyId: person.name,
              // OpenSSH takes an empty list of principals for "any login".
              principals: logins.length > 0 ? logins.slice(0, MAX_PRINCIPALS) : [`-mezite-no-login-${randomUUID()}`],
              ttlSeconds,
              extensions: extensionsFor(person, this.parts.users.get(person.name)?.since, options.portForwarding),
            })
            .catch(asBadKey);
    const x509Issued =
      request.x509PublicKey === null
        ? null
        : this.parts.authorities.issueUserX509({ publicKeyDer: request.x509PublicKey, commonName: person.name, ttlSeconds });
    const [ssh, x509] = await Promise.all([sshIssued, x509Issued]);

    await this.parts.database.transaction(async (tx) => {
      // Here, because transactions have an order: what was locked or logged out before gets none.
      requireNoRefusal(this.parts.guards, person.device === undefined ? subject : { ...subject, device: person.device });
      if (!(await hasSession(tx.em, person.sessionId))) throw loginHasEnded();
      tx.audit({
        type: "user.cert.issued",
        userName: person.name,
        userRoles: person.roles,
        sessionId: person.sessionId,
        clientIp: clientAddress,
        metadata: {
          ttl_seconds: ttlSeconds,
          logins,
          ...(person.device === undefined ? {} : { device: person.device }),
          ...(ssh === null ? {} : { ssh_serial: ssh.serial, ssh_key: fingerprint(request.sshPublicKey ?? Buffer.alloc(0)) }),
          ...(x509 === null ? {} : { x509_serial: x509.serial }),
        },
      });
    });
    const expiresAt = ssh?.expiresAt ?? x509?.expiresAt;
    if (expiresAt === undefined) throw new MezError("INTERNAL", "no certificate was made");
    return { sshCertificate: ssh?.blob ?? null, x509Certificate: x509?.pem ?? null, expiresAt, logins, notice };
  }

  /** A certificate dies with the login, and one with granted roles with the grant. */
  #lifetime(person: string, requestedSeconds: number, roleCapSeconds: number | null, loginEndsAt: Date): GrantedTtl {
    const granted = grantTtl(requestedSeconds, this.parts.defaultTtlSeconds, roleCapSeconds);
    const { until } = this.parts.access.holdings(person);
    const isGrantFirst = until !== null && until < loginEndsAt;
    const left = secondsUntil(isGrantFirst ? until : loginEndsAt, this.parts.clock.now());
    if (granted.ttlSeconds <= left) return granted;
    const isWorthALine = isGrantFirst || (requestedSeconds > 0 && granted.ttlSeconds - left > LOGIN_TAKES_SECONDS);
    const then = isGrantFirst ? "access that was granted to you ends" : "your login ends";
    return { ttlSeconds: left, notice: isWorthALine ? `valid for ${formatDuration(left)}: then ${then}` : granted.notice };
  }
}

// --- internal ---

const MAX_PRINCIPALS = 256; // OpenSSH refuses more: SSHKEY_CERT_MAX_PRINCIPALS
/** The first certificate of a login comes so much later than the login at most. */
const LOGIN_TAKES_SECONDS = 60;

function loginHasEnded(): MezError {
  return new MezError("UNAUTHENTICATED", "the session is unknown or has ended; log in again");
}

function secondsUntil(end: Date, now: Date): number {
  return Math.max(1, Math.floor((end.getTime() - now.getTime()) / 1000));
}

/** What is damaged came from the caller, not from our storage. */
function asBadKey(cause: unknown): never {
  if (isMezError(cause, "SSH_MALFORMED")) throw new MezError("INVALID_ARGUMENT", cause.message, { cause });
  throw cause;
}

/** Ours have a name with `@`, as PROTOCOL.certkeys asks of extensions that are not OpenSSH's; `sshd` ignores them. */
function extensionsFor(
  person: Caller & { readonly kind: "user" },
  since: string | undefined,
  portForwarding: boolean,
): Record<string, string> {
  return {
    "permit-pty": "",
    "permit-agent-forwarding": "",
    ...(portForwarding ? { "permit-port-forwarding": "" } : {}),
    "kind@mezite": "user",
    "roles@mezite": JSON.stringify(person.roles),
    "session@mezite": person.sessionId,
    ...(since === undefined ? {} : { "since@mezite": since }),
    "traits@mezite": JSON.stringify(person.traits),
    ...(person.device === undefined ? {} : { "device@mezite": person.device }),
  };
}

function fingerprint(blob: Buffer): string {
  return `SHA256:${createHash("sha256").update(blob).digest("base64").replace(/=+$/, "")}`;
}
