import { MezError } from "../../core/errors/error.js";
import type { CallContext, RpcHandlers, RpcService } from "../../core/plugin/rpc.js";
import type { Clock } from "../../core/time/clock.js";
import { SessionServiceService } from "../../proto/gen/mezite/sessions/v1/sessions.js";
import type { Reporter } from "./live-session.js";
import type { SessionLedger } from "./session-ledger.js";
import { parseReport, toSessionMessage } from "./session-message.js";
import type { SessionService, TerminationAuthor } from "./session-service.js";

export const SESSION_RPC: RpcService<typeof SessionServiceService> = {
  name: "mezite.sessions.v1.SessionService",
  definition: SessionServiceService,
  permissions: { report: "session:create", listSessions: "session:list", terminateSession: "session:update" },
};

/** Answers the calls of processes that report sessions and of people who list and end them. */
export function sessionHandlers(
  sessions: SessionService,
  ledger: SessionLedger,
  clock: Clock,
): RpcHandlers<typeof SessionServiceService> {
  return {
    async report(request, call) {
      const reporter = reporterOf(call);
      const { events, live, asking } = parseReport(request, clock.now());
      const { wantsLive: sendLive, refused } = await ledger.report(reporter, request.processId, events, live, asking);
      return { sendLive, refused: [...refused] };
    },
    async listSessions() {
      return { sessions: (await sessions.list()).map(toSessionMessage) };
    },
    async terminateSession({ id, reason }, call) {
      const { session, ended } = await sessions.terminate(id, reason.slice(0, MAX_REASON_CHARACTERS), authorOf(call));
      return { session: toSessionMessage(session), ended };
    },
  };
}

// --- internal ---

const MAX_REASON_CHARACTERS = 200;

/** An administrator holds every permission, but has no sessions to report. */
function reporterOf({ caller }: CallContext): Reporter {
  if (caller.kind === "agent" && (caller.role === "proxy" || caller.role === "node")) {
    return { role: caller.role, name: caller.name, id: caller.id };
  }
  throw new MezError("ACCESS_DENIED", "only proxies and nodes report sessions");
}

function authorOf({ caller, clientAddress }: CallContext): TerminationAuthor {
  if (caller.kind === "user") return { name: caller.name, audit: { userRoles: caller.roles, clientIp: clientAddress } };
  return { name: caller.kind === "agent" ? caller.name : "", audit: { clientIp: clientAddress } };
}
