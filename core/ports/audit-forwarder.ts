import type { Port } from "../plugin/contract.js";

/** An audit event on its way out of the cluster. */
export interface ForwardedEvent {
  /** Its place in the audit log: 1, 2, 3 … */
  readonly seq: number;
  /** UUID. An event may come more than once, and is recognised by it. */
  readonly id: string;
  /** E.g. `session.start`. */
  readonly type: string;
  /** Short and stable: `MZ2000`. */
  readonly code: string;
  readonly timestamp: Date;
  readonly success: boolean;
  /** All of it as one JSON object in one line, without the line's end. */
  readonly json: string;
}

/** A place outside the database that gets a copy of the audit log, after the commit and at its own pace. */
export interface AuditForwarder {
  /**
   * Delivers events in the order of the log, one call at a time; at most 200, of half a million characters together unless one
   * alone is longer. Resolved means taken: they do not come again, unless the
   * process crashes. Rejected means none was: all are kept, and come again later.
   */
  deliver(events: readonly ForwardedEvent[], signal: AbortSignal): Promise<void>;
  /**
   * For protocols without an answer, such as syslog: after a failure, events delivered within so many seconds before it come
   * again, because they may have been lost on the way. Without it, none do.
   */
  readonly repeatSeconds?: number;
}

/** Filled under the name that `mezctl audit status` shows. */
export const AUDIT_FORWARDER: Port<AuditForwarder> = { id: "audit-forwarder", version: 1, cardinality: "zero-or-more" };
