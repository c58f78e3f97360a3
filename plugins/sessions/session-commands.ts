import type { Column, CommandContext } from "../../core/plugin/commands.js";
import { type Session, SessionServiceService } from "../../proto/gen/mezite/sessions/v1/sessions.js";

/** `mezctl sessions ls` */
export async function listSessions(context: CommandContext): Promise<void> {
  const client = await context.rpc(SessionServiceService);
  const { sessions } = await client.listSessions({}, { signal: context.signal });
  await context.output.rows(sessions, COLUMNS);
}

/** `mezctl sessions terminate` */
export async function terminateSession(context: CommandContext, id: string, reason = ""): Promise<void> {
  const client = await context.rpc(SessionServiceService);
  const { session, ended } = await client.terminateSession({ id, reason }, { signal: context.signal });
  const whose = session === undefined ? "" : ` of ${session.user} on ${session.node}`;
  context.output.note(
    ended
      ? `session ${id}${whose} has ended`
      : `session ${id}${whose} ends as soon as its host hears of it; the host has not confirmed within 2 seconds`,
  );
}

// --- internal ---

const COLUMNS: readonly Column<Session>[] = [
  { key: "id", header: "ID", value: (session) => session.id },
  { key: "user", header: "USER", value: (session) => session.user, shrink: true },
  { key: "login", header: "LOGIN", value: (session) => session.login, shrink: true },
  { key: "node", header: "NODE", value: (session) => session.node, shrink: true },
  { key: "clientAddress", header: "CLIENT", value: (session) => session.clientAddress },
  { key: "startedAt", header: "STARTED", value: (session) => session.startedAt },
];
