import type { MezError } from "../../errors/error.js";
import type { AuditRecord } from "../../plugin/audit.js";
import type { Caller } from "../../plugin/caller.js";
import type { CallRoute } from "../call-route.js";

/** What the audit log says of a call that was refused for want of a permission. */
export function refusedCall(caller: Caller, clientAddress: string, path: string, route: CallRoute, error: MezError): AuditRecord {
  return {
    type: "authz.denied",
    ...(caller.kind === "user" ? { userName: caller.name, userRoles: caller.roles } : {}),
    ...(caller.kind === "agent" ? { serverId: caller.id, serverHostname: caller.name } : {}),
    clientIp: clientAddress,
    resourceType: "rpc",
    resourceName: path,
    success: false,
    errorMessage: error.detail ?? error.message,
    metadata: { permission: route.permission },
  };
}
