import { MezError } from "../../core/errors/error.js";
import type { CommandContext } from "../../core/plugin/commands.js";
import { FactorKind, MfaServiceService } from "../../proto/gen/mezite/mfa/v1/mfa.js";
import { FACTOR_COLUMNS } from "./factor-table.js";

/** `mezctl users list-mfa` */
export async function listUserFactors(context: CommandContext, userName: string): Promise<void> {
  const { factors, recoveryCodes } = await (await context.rpc(MfaServiceService)).listUserFactors({ userName });
  await context.output.rows(factors, FACTOR_COLUMNS);
  if (factors.length > 0) context.output.note(`${recoveryCodes} recovery codes are left`);
  else if (context.isTerminal) context.output.note(`${userName} has no second factor`);
}

/** `mezctl users add-mfa` */
export async function createEnrolmentLink(context: CommandContext, userName: string): Promise<void> {
  const { link, expiresAt } = await (await context.rpc(MfaServiceService)).createEnrolmentLink({ userName });
  if (link === "")
    throw new MezError(
      "UNAVAILABLE",
      "this cluster has no web pages, where factors are added; its proxy needs proxy.web_listen_addr",
    );
  await context.output.record({ userName, link, expiresAt }, [
    { key: "userName", header: "User", value: (row) => row.userName },
    { key: "link", header: "Link", value: (row) => row.link },
    { key: "expiresAt", header: "Expires", value: (row) => row.expiresAt },
  ]);
  context.output.note("the link works once; whoever opens it adds a second factor");
}

/** `mezctl users reset-totp` and `reset-webauthn` */
export async function resetFactors(context: CommandContext, userName: string, kind: "totp" | "webauthn"): Promise<void> {
  const wanted = kind === "totp" ? FactorKind.FACTOR_KIND_TOTP : FactorKind.FACTOR_KIND_WEBAUTHN;
  const { factors } = await (await context.rpc(MfaServiceService)).resetUserFactors({ userName, kind: wanted });
  context.output.note(`removed ${factors} ${factors === 1 ? "factor" : "factors"} of ${userName}`);
}
