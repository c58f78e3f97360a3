import type { CommandContext } from "../../core/plugin/commands.js";
import { type AuditEvent, AuditServiceService } from "../../proto/gen/mezite/audit/v1/audit.js";
import { ALL_COLUMNS, TABLE_COLUMNS } from "./event-columns.js";
import { parseMoment } from "./moment.js";

interface ListInput {
  readonly type?: string;
  readonly user?: string;
  readonly since?: string;
  readonly until?: string;
  readonly limit: number;
}

/** `mezctl audit ls` */
export async function listEvents(context: CommandContext, input: ListInput): Promise<void> {
  const now = context.now();
  const filter = {
    eventType: input.type ?? "",
    userName: input.user ?? "",
    since: input.since === undefined ? undefined : parseMoment(input.since, now),
    until: input.until === undefined ? undefined : parseMoment(input.until, now),
  };
  const client = await context.rpc(AuditServiceService);
  const events: AuditEvent[] = [];
  let [pageToken, notice] = ["", ""];
  do {
    const pageSize = Math.min(PAGE_SIZE, input.limit - events.length);
    const page = await client.listEvents({ ...filter, pageSize, pageToken }, { signal: context.signal });
    events.push(...page.events);
    notice = page.notice;
    pageToken = page.nextPageToken;
  } while (pageToken !== "" && events.length < input.limit);
  await context.output.rows(events, context.output.format === "table" ? TABLE_COLUMNS : ALL_COLUMNS);
  if (events.length === 0 && notice !== "") context.output.note(notice);
  if (pageToken !== "") context.output.note(`only the newest ${events.length} events are shown; more with --limit or --until`);
}

// --- internal ---

const PAGE_SIZE = 500;
