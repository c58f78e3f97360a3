import { writeFile } from "node:fs/promises";
import { toDiskError } from "../../core/errors/disk-error.js";
import type { CommandContext } from "../../core/plugin/commands.js";
import { CaServiceService } from "../../proto/gen/mezite/ca/v1/ca.js";
import type { AuthorityType } from "./api.js";
import { WIRE_TYPES } from "./authority-message.js";
import { trustLines, trustPem } from "./trust-lines.js";

export interface ExportInput {
  readonly type: AuthorityType;
  readonly form: "openssh" | "pem";
  /** A file, `undefined` for standard output. */
  readonly out: string | undefined;
}

/** `mezctl ca export` */
export async function exportAuthority(context: CommandContext, { type, form, out }: ExportInput): Promise<void> {
  const client = await context.rpc(CaServiceService);
  const authority = await client.export({ type: WIRE_TYPES[type] }, { signal: context.signal });
  const text = form === "pem" ? trustPem(authority) : trustLines(type, authority);
  if (out === undefined) {
    context.stdout.write(text);
    return;
  }
  try {
    await writeFile(out, text);
  } catch (cause) {
    throw toDiskError(cause, out);
  }
  context.output.note(`wrote the ${type} CA to ${out}`);
}
