import type { StartedSession } from "./api.js";

/** The process that reports a session, as its certificate names it. */
export interface Reporter {
  readonly role: "proxy" | "node";
  readonly name: string;
  /** UUID of the agent record. */
  readonly id: string;
}

/** A session as the auth service knows it. */
export interface LiveSessionRow extends Omit<StartedSession, "by"> {
  /** `null` while it is under way. */
  readonly endedAt: Date | null;
  /** Whose word counts: `node:web-01`. */
  readonly reporter: string;
  /** Of the last event that was taken; a report that comes again begins at or before it. */
  readonly lastNumber: number;
}

/** Something that happened to a session. */
export interface SessionEvent {
  readonly sessionId: string;
  /** Counts the events of the session from 1. */
  readonly number: number;
  readonly at: Date;
  readonly event:
    | { readonly kind: "started"; readonly session: StartedSession }
    | { readonly kind: "exec"; readonly command: string; readonly channel: number }
    | { readonly kind: "ended"; readonly reason: string; readonly bytesIn: number; readonly bytesOut: number };
}

/** Everything that is under way in one process. */
export interface LiveList {
  readonly sessions: readonly StartedSession[];
  /** Sessions that live on there, but are announced by a replaced instance of the plugin. */
  readonly otherIds: readonly string[];
}

/** A session that may not be. */
export interface RefusedSession {
  readonly id: string;
  /** One line for the person. */
  readonly reason: string;
}

/** How a reporter is named in the table. */
export function reporterName({ role, name }: Pick<Reporter, "role" | "name">): string {
  return `${role}:${name}`;
}

/** A proxy sees a session before its node does; from the moment when the node speaks, the node's word counts. */
export function mayTakeOver(row: LiveSessionRow, reporter: Reporter): boolean {
  return row.reporter.startsWith("proxy:") && reporter.role === "node" && row.node === reporter.name;
}

/** Whether the session ends at the reporter: at a node, or at a proxy that stands for a node without an agent and so knows the login. */
export function servesSession({ role }: Pick<Reporter, "role">, { login }: Pick<StartedSession, "login">): boolean {
  return role === "node" || login !== "";
}
