import type { AuditRecord } from "../../core/plugin/audit.js";
import type { DurationSetting } from "../../core/plugin/cluster-settings.js";
import type { ServiceToken } from "../../core/plugin/contract.js";
import type { SessionFacts } from "../../core/plugin/live-sessions.js";

/** What a proxy or a node may tell the audit log. Anything else is recorded by the auth service itself. */
export type ReportableEventType =
  | "access.denied"
  | "session.end"
  | "session.exec"
  | "session.file"
  | "session.forward"
  | "session.recording.failed"
  | "session.start"
  | "session.terminated";

/** An event as a proxy or node saw it. The auth service fills in `serverId` and `serverHostname` from the certificate of the caller. */
export interface ReportedRecord extends Omit<AuditRecord, "id" | "serverId" | "serverHostname"> {
  readonly type: ReportableEventType;
}

/** A record of a session, without what is the same in all of them. */
export type SessionRecord = Pick<ReportedRecord, "type" | "success" | "errorMessage" | "metadata">;

/** The same with whose session it is. @param labels Of its node. */
export function recordOfSession(
  { id, user, roles, node, clientAddress }: SessionFacts,
  labels: Readonly<Record<string, string>>,
  record: SessionRecord,
): ReportedRecord {
  return {
    ...{ userName: user, userRoles: roles, sessionId: id, clientIp: clientAddress },
    ...{ resourceType: "node", resourceName: node, resourceLabels: labels },
    ...record,
  };
}

/** Carries events to the auth service; in roles `proxy` and `node`. */
export interface AuditReporter {
  /**
   * Takes an event over and returns at once. It is kept on disk until the auth service has it, also across a restart.
   * @param role In whose name: decides which certificate it is sent under.
   */
  report(role: "proxy" | "node", record: ReportedRecord): void;
}

export const AUDIT_REPORTER: ServiceToken<AuditReporter> = { id: "audit-reporter", version: 1 };

/** How long the database keeps events that are archived. */
export const AUDIT_RETENTION: DurationSetting = {
  key: "audit_retention",
  type: "duration",
  minSeconds: 86_400,
  maxSeconds: 3650 * 86_400,
  zero: "off",
  default: 0,
  description: "how long archived events stay in the database; off keeps all",
};
