/** `noun.verb` words, e.g. `user.login.failed`; the manifest of the plugin lists those that it writes. */
export type AuditEventType = `${string}.${string}`;

/**
 * What a plugin says of a change or a refusal. The host adds id, time and cluster name. Absent fields are empty in the
 * log; `metadata` must survive JSON and carry no secret.
 */
export interface AuditRecord {
  readonly type: AuditEventType;
  readonly userName?: string;
  readonly userRoles?: readonly string[];
  readonly resourceType?: string;
  readonly resourceName?: string;
  readonly resourceLabels?: Readonly<Record<string, string>>;
  readonly serverId?: string;
  readonly serverHostname?: string;
  readonly clientIp?: string;
  readonly sessionId?: string;
  /** Default true. */
  readonly success?: boolean;
  readonly errorMessage?: string;
  readonly metadata?: Readonly<Record<string, unknown>>;
  /** UUID given by the process that saw it, so that a report sent twice is stored once; default a new one. */
  readonly id?: string;
  /** When it happened, for events that reach the auth service later; default now. */
  readonly occurredAt?: Date;
}

/** An audit record as it is stored and sent to sinks. */
export interface AuditEvent extends AuditRecord {
  /** UUID, version 7: sorts by time. */
  readonly id: string;
  readonly occurredAt: Date;
  readonly clusterName: string;
  readonly success: boolean;
}
