import { writeFile } from "node:fs/promises";
import { toDiskError } from "../../core/errors/disk-error.js";
import { MezError } from "../../core/errors/error.js";
import type { CommandContext } from "../../core/plugin/commands.js";
import { CaServiceService, type ExportResponse } from "../../proto/gen/mezite/ca/v1/ca.js";
import type { AuthorityType } from "./api.js";
import { WIRE_TYPES } from "./authority-message.js";
import { trustLines, trustPem } from "./trust-lines.js";

export type ExportForm = "openssh" | "pem" | "jwks";

export interface ExportInput {
  readonly type: AuthorityType;
  /** `undefined` for what the authority is mostly used for. */
  readonly form: ExportForm | undefined;
  /** A file, `undefined` for standard output. */
  readonly out: string | undefined;
}

/** `mezctl ca export` @throws {MezError} `INVALID_ARGUMENT` for a form that the authority does not have */
export async function exportAuthority(context: CommandContext, { type, form, out }: ExportInput): Promise<void> {
  const chosen = form ?? defaultForm(context, type);
  if (!FORMS[type].includes(chosen))
    throw new MezError("INVALID_ARGUMENT", `the ${type} CA has no form ${chosen}; use --form=${FORMS[type].join(" or ")}`);
  const client = await context.rpc(CaServiceService);
  const authority = await client.export({ type: WIRE_TYPES[type] }, { signal: context.signal });
  const text = textOf(chosen, type, authority);
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

// --- internal ---

const FORMS: Readonly<Record<AuthorityType, readonly ExportForm[]>> = {
  user: ["openssh", "pem"],
  host: ["openssh", "pem"],
  spiffe: ["pem", "jwks"],
};

function defaultForm({ output }: CommandContext, type: AuthorityType): ExportForm {
  if (type !== "spiffe") return "openssh";
  return output.format === "json" ? "jwks" : "pem";
}

function textOf(form: ExportForm, type: AuthorityType, authority: ExportResponse): string {
  if (form === "pem") return trustPem(authority);
  return form === "jwks" ? `${authority.spiffeBundleJson}\n` : trustLines(type, authority);
}
