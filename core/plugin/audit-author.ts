import type { AuditRecord } from "./audit.js";
import type { CallContext } from "./rpc.js";

/** Who makes a change, as the audit log names them. */
export type AuditAuthor = Pick<AuditRecord, "userName" | "userRoles" | "sessionId" | "clientIp">;

/** The author of a call: the person, or nobody but an address when it was a process of the cluster. */
export function authorOf({
  caller,
  clientAddress,
}: Pick<CallContext, "caller" | "clientAddress">): AuditAuthor & { readonly clientIp: string } {
  if (caller.kind !== "user") return { clientIp: clientAddress };
  return { userName: caller.name, userRoles: caller.roles, sessionId: caller.sessionId, clientIp: clientAddress };
}
