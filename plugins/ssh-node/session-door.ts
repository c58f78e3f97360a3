import { isMezError, MezError } from "../../core/errors/error.js";
import type { ClusterSettings } from "../../core/plugin/cluster-settings.js";
import type { AuthenticationAttempt, AuthenticationDecision, PublicKeyAttempt } from "../../core/ssh/authentication-attempt.js";
import type { SshCertificate } from "../../core/ssh/certificate.js";
import { checkCertificate } from "../../core/ssh/certificate-check.js";
import { type CertificateClaims, claimsOf } from "../../core/ssh/certificate-claims.js";
import { fingerprintOf } from "../../core/ssh/public-key.js";
import type { SshPeer } from "../../core/ssh/server-connection.js";
import type { Clock } from "../../core/time/clock.js";
import type { AuditReporter } from "../audit/api.js";
import { RECORDING_MODE, RECORDING_POLICY } from "../recordings/api.js";
import type { SessionOptions } from "../roles/api.js";
import type { NodePolicy } from "./node-policy.js";
import type { OsAccount, OsAccounts } from "./os-account.js";

/** A person who was let in. */
export interface NodeLogin {
  readonly claims: CertificateClaims;
  readonly options: SessionOptions;
  readonly account: OsAccount;
}

export interface SessionDoorParts {
  readonly nodeName: string;
  readonly policy: NodePolicy;
  readonly cluster: Pick<ClusterSettings, "get">;
  readonly accounts: Pick<OsAccounts, "find">;
  /** The one login that a process without root's rights can serve; `null` for all. */
  readonly onlyLogin: string | null;
  readonly audit: AuditReporter;
  readonly clock: Clock;
}

/** Decides who may come in: a certificate of the User CA, then the roles, then an account of that name. */
export class SessionDoor {
  constructor(private readonly parts: SessionDoorParts) {}

  async authenticate(attempt: AuthenticationAttempt, peer: SshPeer): Promise<AuthenticationDecision<NodeLogin>> {
    if (attempt.method !== "publickey" || attempt.certificate === null) return { reject: null };
    // Whether a certificate would do is only told to those who hold its key, so that every refusal has somebody to name.
    if (!attempt.isProven) return { accept: { claims: NO_CLAIMS, options: NO_OPTIONS, account: NOBODY } };
    const { extensions } = attempt.certificate;
    try {
      return { accept: await this.#check(attempt, attempt.certificate, peer) };
    } catch (error) {
      if (!isMezError(error)) throw error;
      const { userName, ...claims } = bearerOf(attempt.certificate, error);
      this.parts.audit.report("node", {
        type: "access.denied",
        ...(userName === undefined ? {} : { userName }),
        resourceType: "node",
        resourceName: this.parts.nodeName,
        resourceLabels: this.parts.policy.labels,
        clientIp: peer.remoteAddress,
        ...(peer.sessionId === undefined ? {} : { sessionId: peer.sessionId }),
        success: false,
        errorMessage: error.message,
        metadata: {
          ...claims,
          login: attempt.user,
          detail: error.detail ?? error.message,
          loginSession: userName === undefined ? "" : (extensions.get("session@mezite") ?? ""),
        },
      });
      return { reject: error.message };
    }
  }

  async #check({ user: login }: PublicKeyAttempt, certificate: SshCertificate, peer: SshPeer): Promise<NodeLogin> {
    const { policy, accounts, onlyLogin, nodeName } = this.parts;
    const { authorities, closedBecause } = policy;
    if (authorities.length === 0 && closedBecause !== null)
      throw new MezError("SSH_CERTIFICATE_REFUSED", closedBecause, { fields: { rule: "authority" } });
    const sourceAddress = peer.remoteAddress;
    checkCertificate(certificate, { role: "user", authorities, now: this.parts.clock.now(), sourceAddress });
    if (closedBecause !== null) throw denied(closedBecause);
    const claims = claimsOf(certificate);
    if (policy.isSuperseded(claims)) throw denied(`a newer certificate of ${claims.user} is in use; read the files again`);
    const decision = policy.decide(claims, login, peer.factor);
    if (!decision.allowed) throw denied(decision.reason, decision.detail);
    if (!certificate.principals.includes(login)) {
      throw denied(`your certificate does not name the login ${printable(login)}; log in again to renew it`);
    }
    if (onlyLogin !== null && login !== onlyLogin) {
      throw denied(`node ${nodeName} does not run as root and serves the login ${onlyLogin} only`);
    }
    if (this.#isUnreadable) throw denied(RECORDED_BY_PROXIES);
    const account = await accounts.find(login);
    if (account === null) throw denied(`there is no user ${printable(login)} on node ${nodeName}`);
    return { claims, options: decision.options, account };
  }

  /** Only proxies may record, and no proxy can read what goes to a node with an agent. */
  get #isUnreadable(): boolean {
    const { cluster } = this.parts;
    return cluster.get(RECORDING_MODE) === "proxy" && cluster.get(RECORDING_POLICY) === "strict";
  }
}

// --- internal ---

const RECORDED_BY_PROXIES =
  "sessions are recorded by proxies (recording_mode), and no proxy can read a session to a node with an agent; ask an administrator";
const NO_OPTIONS: SessionOptions = {
  maxSessionTtlSeconds: null,
  requireSessionMfa: "",
  deviceTrustMode: "",
  portForwarding: false,
  fileCopy: false,
};
const NO_CLAIMS: CertificateClaims = {
  user: "",
  roles: [],
  machine: null,
  loginSessionId: null,
  since: null,
  device: null,
  permitsTerminal: false,
  permitsPortForwarding: false,
  permitsAgentForwarding: false,
  forceCommand: null,
};
const NOBODY: OsAccount = { name: "nobody", uid: 65_534, gid: 65_534, groups: [], home: "/", shell: "/bin/false" };

/** Rules that a certificate breaks whose words mean nothing: this cluster did not say them. */
const STRANGE: ReadonlySet<string> = new Set(["role", "authority", "signature", "key"]);

/** Whom a refused certificate names. What others than the User CA signed is only a claim. */
function bearerOf({ keyId, authorityBlob }: SshCertificate, refusal: MezError): Readonly<Record<string, string>> {
  if (refusal.code !== "SSH_CERTIFICATE_REFUSED" || !STRANGE.has(String(refusal.fields.rule))) return { userName: keyId };
  return { claimedUser: keyId.slice(0, 128), authority: fingerprintOf(authorityBlob) };
}

function printable(text: string): string {
  return text.slice(0, 60).replace(/[^\x20-\x7e]/g, "?");
}

function denied(reason: string, detail?: string): MezError {
  return new MezError("ACCESS_DENIED", reason, detail === undefined ? {} : { detail });
}
