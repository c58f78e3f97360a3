import { MezError } from "../../core/errors/error.js";
import type { Column, CommandContext } from "../../core/plugin/commands.js";
import { type ArchiveProgress, type ArchiveResult, AuditServiceService } from "../../proto/gen/mezite/audit/v1/audit.js";

/**
 * `mezctl audit archive`
 * @throws {MezError} `ARCHIVE_NOT_CONFIGURED`, `AUDIT_CHAIN_BROKEN`, `BUCKET_REFUSED`, `BUCKET_UNAVAILABLE`
 */
export async function archiveLog(context: CommandContext): Promise<void> {
  const client = await context.rpc(AuditServiceService);
  let last: ArchiveProgress | undefined;
  for await (const progress of client.archive({}, { signal: context.signal })) last = progress;
  if (last?.result === undefined)
    throw new MezError("UNAVAILABLE", "the server stopped before everything was archived; run it again");
  await context.output.record({ archived: last.archived, files: last.files, ...last.result }, COLUMNS);
}

// --- internal ---

type Outcome = Omit<ArchiveProgress, "result"> & ArchiveResult;

const COLUMNS: readonly Column<Outcome>[] = [
  { key: "destination", header: "Archive", value: ({ destination }) => destination },
  { key: "archived", header: "Events archived", value: ({ archived }) => archived },
  { key: "files", header: "Files written", value: ({ files }) => files },
  { key: "lastSeq", header: "Archived up to", value: ({ lastSeq }) => lastSeq },
  { key: "lastHash", header: "Its hash", value: ({ lastHash }) => lastHash || null },
  { key: "removed", header: "Events removed here", value: ({ removed }) => removed },
];
