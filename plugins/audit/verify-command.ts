import { MezError } from "../../core/errors/error.js";
import type { Column, CommandContext } from "../../core/plugin/commands.js";
import { AuditServiceService, type VerifyProgress } from "../../proto/gen/mezite/audit/v1/audit.js";

/**
 * `mezctl audit verify`
 * @throws {MezError} `AUDIT_CHAIN_BROKEN`
 */
export async function verifyLog(context: CommandContext, input: { readonly archive: boolean }): Promise<void> {
  const client = await context.rpc(AuditServiceService);
  let last: VerifyProgress | undefined;
  for await (const progress of client.verify({ archive: input.archive }, { signal: context.signal })) last = progress;
  if (last?.result === undefined)
    throw new MezError("UNAVAILABLE", "the server ended the verification before its end; try again");
  await context.output.record({ checked: last.checked, ...last.result }, COLUMNS);
  if (last.result.unchecked > 0)
    context.output.note(`events 1 to ${last.result.unchecked} are in the archive alone; check them as well with --archive`);
  if (!last.result.intact)
    throw new MezError(
      "AUDIT_CHAIN_BROKEN",
      `the audit log is damaged from event ${last.result.firstBad} on: ${last.result.reason}`,
    );
}

// --- internal ---

interface Verdict {
  readonly checked: number;
  readonly intact: boolean;
  readonly unchecked: number;
  readonly firstBad: number;
  readonly reason: string;
}

const COLUMNS: readonly Column<Verdict>[] = [
  { key: "intact", header: "Intact", value: (verdict) => (verdict.intact ? "yes" : "no"), json: (verdict) => verdict.intact },
  { key: "checked", header: "Events checked", value: (verdict) => verdict.checked },
  { key: "unchecked", header: "Not checked", value: (verdict) => verdict.unchecked },
  { key: "firstBad", header: "First bad event", value: (verdict) => verdict.firstBad || null },
  { key: "reason", header: "Reason", value: (verdict) => verdict.reason },
];
