import type { MezError } from "../../core/errors/error.js";
import type { Logger } from "../../core/plugin/logger.js";
import type { SshCertificate } from "../../core/ssh/certificate.js";
import { fingerprintOf } from "../../core/ssh/public-key.js";
import type { Clock } from "../../core/time/clock.js";
import type { AuditReporter, ReportedRecord } from "../audit/api.js";
import type { NodeEntry } from "../nodes/api.js";
import type { CertifiedPerson } from "./certificate-gate.js";

/** Tells the audit log who was refused, and why. */
export class DenialLog {
  #budget = MAX_STRANGERS_PER_MINUTE;
  #minute = 0;

  constructor(
    private readonly reporter: AuditReporter,
    private readonly logger: Logger,
    private readonly clock: Clock,
  ) {}

  /** A session of somebody who is logged in. */
  session(
    person: CertifiedPerson,
    clientIp: string,
    target: string,
    node: NodeEntry | null,
    reason: MezError,
    sessionId?: string,
  ): void {
    this.#report({
      ...denial(reason, clientIp, { serial: String(person.certificate.serial) }),
      userName: person.user,
      userRoles: person.roles,
      resourceType: "node",
      resourceName: node?.name ?? target,
      ...(node === null ? {} : { resourceLabels: node.labels }),
      ...(sessionId === undefined ? {} : { sessionId }),
    });
  }

  /**
   * A login with a certificate whose key was proven.
   * @param isOurs The User CA signed it. What others signed is only a claim, and cannot fill the audit log.
   */
  login(certificate: SshCertificate, isOurs: boolean, clientIp: string, reason: MezError): void {
    const { keyId, serial, authorityBlob } = certificate;
    if (isOurs) return this.#report({ ...denial(reason, clientIp, { serial: String(serial) }), userName: keyId });
    const claim = { claimedUser: keyId.slice(0, 128), authority: fingerprintOf(authorityBlob) };
    if (this.#mayReportStranger()) this.#report(denial(reason, clientIp, claim));
    else this.logger.warn("a certificate of another authority was refused", { ...claim, clientIp });
  }

  #report(record: ReportedRecord): void {
    this.reporter.report("proxy", record);
    this.logger.info("access denied", {
      user: record.userName,
      node: record.resourceName,
      clientIp: record.clientIp,
      ...record.metadata,
    });
  }

  #mayReportStranger(): boolean {
    const minute = Math.floor(this.clock.now().getTime() / 60_000);
    if (minute !== this.#minute) this.#budget = MAX_STRANGERS_PER_MINUTE;
    this.#minute = minute;
    return this.#budget-- > 0;
  }
}

// --- internal ---

const MAX_STRANGERS_PER_MINUTE = 60;

function denial(reason: MezError, clientIp: string, metadata: Readonly<Record<string, string>>): ReportedRecord {
  const { message, detail } = reason;
  return {
    type: "access.denied",
    clientIp,
    success: false,
    errorMessage: message,
    metadata: { ...metadata, ...(detail === undefined ? {} : { detail }) },
  };
}
