import { MezError } from "../../core/errors/error.js";
import type { CommandContext } from "../../core/plugin/commands.js";
import type { Secret } from "../../core/plugin/secret.js";
import { MfaServiceService } from "../../proto/gen/mezite/mfa/v1/mfa.js";
import { enrol, type MfaClient, printRecoveryCodes, prove, waitFor } from "./ceremony-client.js";
import { FACTOR_COLUMNS } from "./factor-table.js";

interface OtpInput {
  readonly otp: Secret | undefined;
}

/** `msh mfa add` */
export async function addFactor(
  context: CommandContext,
  { type, name, otp }: OtpInput & { readonly type: "totp" | "webauthn"; readonly name: string | undefined },
): Promise<void> {
  const client = await context.rpc(MfaServiceService);
  const proof = await proofFor(context, client, otp);
  const ceremony = await client.beginEnrolment({ proof, name: name ?? "" });
  if (type === "totp") return enrol(context, client, ceremony, "totp");
  if (ceremony.link === "")
    throw new MezError(
      "UNAVAILABLE",
      "this cluster has no web pages, where passkeys are added; its proxy needs proxy.web_listen_addr",
    );
  context.output.note(`Open this link to add a passkey or security key. It works once, for 15 minutes:`);
  context.stdout.write(`${ceremony.link}\n`);
  context.output.note(`The page shows the number ${ceremony.checkCode}.`);
  await waitFor(context, client, ceremony);
  context.output.note("added");
}

/** `msh mfa ls` */
export async function listFactors(context: CommandContext): Promise<void> {
  const { factors, recoveryCodes } = await (await context.rpc(MfaServiceService)).listFactors({});
  await context.output.rows(factors, FACTOR_COLUMNS);
  if (factors.length > 0) context.output.note(`${recoveryCodes} recovery codes are left`);
  else if (context.isTerminal) context.output.note("you have no second factor; msh mfa add");
}

/** `msh mfa rm` */
export async function removeFactor(
  context: CommandContext,
  { factor, otp }: OtpInput & { readonly factor: string },
): Promise<void> {
  const client = await context.rpc(MfaServiceService);
  const { factors } = await client.listFactors({});
  // Before anybody looks for a telephone: the server says the same, after the proof.
  if (!factors.some(({ id, name }) => id === factor || name === factor))
    throw new MezError("FACTOR_NOT_FOUND", `you have no factor "${factor.slice(0, 64)}"; msh mfa ls shows yours`);
  await client.removeFactor({ factor, proof: await proofFor(context, client, otp) });
  context.output.note(`removed "${factor}"`);
}

/** `msh mfa recovery-codes` */
export async function replaceRecoveryCodes(context: CommandContext, { otp }: OtpInput): Promise<void> {
  const client = await context.rpc(MfaServiceService);
  const { codes } = await client.replaceRecoveryCodes({ proof: await proofFor(context, client, otp) });
  printRecoveryCodes(context, codes);
}

// --- internal ---

/** The holder of a proof that is done; empty for somebody who has nothing to prove. */
async function proofFor(context: CommandContext, client: MfaClient, otp: Secret | undefined): Promise<string> {
  const { ceremony } = await client.beginProof({});
  if (ceremony === undefined) return "";
  await prove(context, client, ceremony, otp);
  return ceremony.holder;
}
