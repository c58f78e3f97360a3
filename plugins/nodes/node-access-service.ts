import { isIP } from "node:net";
import { isMezError, MezError } from "../../core/errors/error.js";
import type { Database } from "../../core/plugin/database.js";
import { type Guards, requireNoRefusal } from "../../core/ports/guard.js";
import { parseCertificate, type SshCertificate } from "../../core/ssh/certificate.js";
import { checkCertificate } from "../../core/ssh/certificate-check.js";
import { claimsOf } from "../../core/ssh/certificate-claims.js";
import type { Clock } from "../../core/time/clock.js";
import type { CertificateAuthorities } from "../ca/api.js";
import { type Access, guardSubjectOf, type ProvenSessionMfa } from "../roles/api.js";
import type { OpenSshNode } from "./openssh-node.js";
import type { OpenSshNodeService } from "./openssh-node-service.js";

/** What a proxy says of a connection that it wants to make to a node without an agent. */
export interface AccessRequest {
  readonly nodeId: string;
  readonly node: string;
  readonly login: string;
  readonly sessionId: string;
  readonly clientAddress: string;
  /** The certificate that the person logged in with, wire form. */
  readonly userCertificate: Buffer;
  /** The key to certify, wire form. */
  readonly publicKey: Buffer;
  /** Kind of second factor that the proxy had proven for the session; empty for none. */
  readonly secondFactor: string;
}

export interface NodeAccessParts {
  readonly database: Database;
  readonly nodes: OpenSshNodeService;
  readonly authorities: CertificateAuthorities;
  readonly access: Access;
  readonly guards: Guards;
  readonly clock: Clock;
  readonly clusterName: string;
  readonly hostTtlSeconds: number;
}

/** Issues what proxies need to stand between people and the nodes that have no agent. */
export class NodeAccessService {
  constructor(private readonly parts: NodeAccessParts) {}

  /** A host certificate for the node's name. @throws {MezError} `NOT_FOUND`, `ACCESS_DENIED`, `INVALID_ARGUMENT` */
  async hostCertificate(
    proxy: string,
    name: string,
    publicKeyBlob: Buffer,
  ): Promise<{ readonly blob: Buffer; readonly expiresAt: Date }> {
    const { authorities, guards, clusterName, hostTtlSeconds: ttlSeconds } = this.parts;
    requireNoRefusal(guards, { agent: proxy });
    const { id } = this.#node(name);
    const principals = [name, `${name}.${clusterName}`, id];
    return authorities.issueHostCertificate({ publicKeyBlob, keyId: name, principals, ttlSeconds }).catch(asBadArgument);
  }

  /**
   * A user certificate for one login, valid for minutes. It is made from the person's own certificate, so that a proxy
   * can speak for those alone who came to it; roles, locks and the login are checked as for any session.
   * @returns Wire form.
   * @throws {MezError} `ACCESS_DENIED`, `SSH_CERTIFICATE_REFUSED`, `NOT_FOUND`, `INVALID_ARGUMENT`
   */
  async accessCertificate(proxy: string, request: AccessRequest): Promise<Buffer> {
    const { database, authorities, access, guards } = this.parts;
    const { login, clientAddress, sessionId } = request;
    if (!SESSION_ID.test(sessionId)) throw new MezError("INVALID_ARGUMENT", "the id of the session is no UUID");
    if (isIP(clientAddress) === 0) throw new MezError("INVALID_ARGUMENT", "the client's address is no IP address");
    const node = this.#node(request.node, request.nodeId);
    const certificate = this.#checked(request.userCertificate, clientAddress);
    const claims = claimsOf(certificate);
    const { user, since, roles, machine, device } = claims;
    const at = device === null ? {} : { device };
    const subject = {
      user,
      since: since ?? undefined,
      roles,
      ...(machine === null ? {} : { instance: machine.instance }),
      ...at,
    };
    if (machine !== null && access.isSuperseded(machine.instance, machine.generation))
      throw new MezError("ACCESS_DENIED", `a newer certificate of ${user} is in use; read the files again`);
    const standing = access.standing(subject);
    if (standing !== null) throw new MezError("ACCESS_DENIED", standing);
    const decision = access.decide({ ...subject, node, login, proofs: { mfa: factorOf(request.secondFactor) } });
    if (!decision.allowed) throw new MezError("ACCESS_DENIED", decision.reason, { detail: decision.detail });
    if (!certificate.principals.includes(login))
      throw new MezError(
        "ACCESS_DENIED",
        `the certificate does not name the login ${login.slice(0, 60)}; log in again to renew it`,
      );
    const issued = await authorities
      .issueUserCertificate({
        publicKeyBlob: request.publicKey,
        keyId: user,
        principals: [login],
        ttlSeconds: ACCESS_SECONDS,
        criticalOptions: claims.forceCommand === null ? {} : { "force-command": claims.forceCommand },
        extensions: {
          ...(claims.permitsTerminal ? { "permit-pty": "" } : {}),
          ...(claims.permitsAgentForwarding ? { "permit-agent-forwarding": "" } : {}),
          ...(claims.permitsPortForwarding && decision.options.portForwarding ? { "permit-port-forwarding": "" } : {}),
          "session@mezite": sessionId,
        },
      })
      .catch(asBadArgument);
    await database.transaction(async (tx) => {
      // Here, because transactions have an order: what was locked before gets none.
      requireNoRefusal(guards, { ...guardSubjectOf(subject), agent: node.name });
      requireNoRefusal(guards, { agent: proxy });
      tx.audit({
        ...{ type: "user.cert.issued", userName: user, userRoles: roles, sessionId, clientIp: clientAddress },
        ...{ resourceType: "node", resourceName: node.name, resourceLabels: node.labels },
        metadata: { node: node.name, login, proxy, ssh_serial: issued.serial, ttl_seconds: ACCESS_SECONDS },
      });
    });
    return issued.blob;
  }

  #node(name: string, id?: string): OpenSshNode {
    const node = this.parts.nodes.find(name);
    if (node === null || (id !== undefined && node.id !== id))
      throw new MezError("NOT_FOUND", `there is no OpenSSH node named "${name.slice(0, 80)}"`);
    return node;
  }

  #checked(blob: Buffer, sourceAddress: string): SshCertificate {
    const { authorities, clock } = this.parts;
    const certificate = readCertificate(blob);
    const trusted = authorities.trustBundle("user").sshPublicKeys.map((key) => Buffer.from(key, "base64"));
    checkCertificate(certificate, { role: "user", authorities: trusted, now: clock.now(), sourceAddress });
    return certificate;
  }
}

// --- internal ---

/** @throws {MezError} `INVALID_ARGUMENT` */
function factorOf(text: string): ProvenSessionMfa | undefined {
  if (text === "") return undefined;
  if (text === "totp" || text === "webauthn" || text === "hardware_key") return text;
  throw new MezError("INVALID_ARGUMENT", "the second factor is of no known kind");
}

/** They go into the certificate and the audit log. */
const SESSION_ID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** Enough for clocks that differ; the key behind it lives in the proxy's memory and serves one login. */
const ACCESS_SECONDS = 300;

function readCertificate(blob: Buffer): SshCertificate {
  try {
    return parseCertificate(blob);
  } catch (cause) {
    throw new MezError("INVALID_ARGUMENT", "the certificate of the person cannot be read", { cause });
  }
}

/** What is damaged came from the caller, not from our storage. */
function asBadArgument(cause: unknown): never {
  if (isMezError(cause, "SSH_MALFORMED")) throw new MezError("INVALID_ARGUMENT", cause.message, { cause });
  throw cause;
}
