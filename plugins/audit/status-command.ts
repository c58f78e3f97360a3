import type { Column, CommandContext } from "../../core/plugin/commands.js";
import { AuditServiceService, type AuditStatus, type ForwarderStatus } from "../../proto/gen/mezite/audit/v1/audit.js";

/** `mezctl audit status` */
export async function showStatus(context: CommandContext): Promise<void> {
  const client = await context.rpc(AuditServiceService);
  const status = await client.getStatus({}, { signal: context.signal });
  const { output, stdout } = context;
  await output.record(status, output.format === "table" ? LOG_COLUMNS : [...LOG_COLUMNS, FORWARDERS]);
  if (output.format !== "table" || status.forwarders.length === 0) return;
  stdout.write("\n");
  await output.rows(status.forwarders, FORWARDER_COLUMNS);
}

// --- internal ---

const LOG_COLUMNS: readonly Column<AuditStatus>[] = [
  { key: "lastSeq", header: "Last event", value: ({ lastSeq }) => lastSeq },
  { key: "lastHash", header: "Its hash", value: ({ lastHash }) => lastHash },
  { key: "firstKept", header: "First event in the database", value: ({ firstKept }) => firstKept },
  { key: "archive", header: "Archive", value: ({ archiveDestination }) => archiveDestination || null },
  { key: "archivedSeq", header: "Archived up to", value: ({ archivedSeq }) => archivedSeq },
];

const FORWARDER_COLUMNS: readonly Column<ForwarderStatus>[] = [
  { key: "name", header: "Forwarder", value: ({ name }) => name },
  { key: "takenSeq", header: "Taken up to", value: ({ takenSeq }) => takenSeq },
  { key: "waiting", header: "Waiting", value: ({ waiting }) => waiting },
  { key: "missed", header: "Missed", value: ({ missed }) => missed },
  { key: "failingSince", header: "Failing since", value: ({ failingSince }) => failingSince },
  { key: "error", header: "Error", value: ({ error }) => error || null, shrink: true },
];

const FORWARDERS: Column<AuditStatus> = {
  key: "forwarders",
  header: "Forwarders",
  value: () => null,
  json: ({ forwarders }) =>
    forwarders.map(({ name, takenSeq, waiting, missed, error, failingSince }) => ({
      ...{ name, taken_seq: takenSeq, waiting, missed },
      error: error || null,
      failing_since: failingSince?.toISOString() ?? null,
    })),
};
