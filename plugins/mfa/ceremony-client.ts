import { isMezError, MezError } from "../../core/errors/error.js";
import type { CommandContext } from "../../core/plugin/commands.js";
import type { RpcClient } from "../../core/plugin/rpc.js";
import type { Secret } from "../../core/plugin/secret.js";
import {
  type AnswerWithCodeResponse,
  type Ceremony,
  type EnrolmentResult,
  FactorKind,
  type MfaServiceService,
} from "../../proto/gen/mezite/mfa/v1/mfa.js";

export type MfaClient = RpcClient<typeof MfaServiceService>;

/**
 * Leads a person at a terminal through a proof: a code, or a page for a passkey.
 * @param otp A code that was given beforehand.
 * @throws {MezError} `MFA_REFUSED`, `MFA_EXPIRED`, `TOO_MANY_ATTEMPTS`; `MFA_REQUIRED` when nobody sits at a terminal
 */
export async function prove(context: CommandContext, client: MfaClient, ceremony: Ceremony, otp?: Secret): Promise<void> {
  if (otp !== undefined) return answer(context, client, ceremony, otp);
  const takesCode = ceremony.kinds.includes(FactorKind.FACTOR_KIND_TOTP);
  if (ceremony.link !== "" && !takesCode) {
    context.output.note(`Use your passkey or security key: ${ceremony.link}`);
    context.output.note(
      `The page shows the number ${ceremony.checkCode}. Without the key, give a recovery code with --otp-stdin.`,
    );
    return waitFor(context, client, ceremony);
  }
  if (ceremony.link !== "") {
    context.output.note(
      `With a passkey or security key: open ${ceremony.link} (it shows ${ceremony.checkCode}), then press Enter.`,
    );
  }
  const text = takesCode ? "Code of your authenticator app" : "Recovery code";
  for (let round = 1; ; round++) {
    const code = await ask(context, text);
    if (code.expose() === "" && ceremony.link !== "") return waitFor(context, client, ceremony);
    try {
      return await answer(context, client, ceremony, code);
    } catch (error) {
      if (!isMezError(error, "MFA_REFUSED") || round === MAX_ROUNDS) throw error;
      context.output.note(error.message);
    }
  }
}

/**
 * Leads a person at a terminal through adding a factor: scans a QR code into an app, or uses the page.
 * @throws {MezError} as `prove`; `MFA_REQUIRED` when nobody sits at a terminal
 */
export async function enrol(context: CommandContext, client: MfaClient, ceremony: Ceremony, kind: "totp" | "any"): Promise<void> {
  // A secret that nobody reads would only end in a log.
  if (!hasTerminal(context)) throw new MezError("MFA_REQUIRED", "a second factor is added on a terminal; run this on one");
  const { secret, uri } = await client.beginTotpEnrolment({ token: ceremony.holder }, { signal: context.signal });
  const { qrText } = await import("./qr-code.js");
  context.stderr.write(`${await qrText(uri, mayColour(context))}\n`);
  context.output.note(`Scan this with an authenticator app, or type the key in: ${secret.replace(/(.{4})(?=.)/g, "$1 ")}`);
  const usesPage = kind === "any" && ceremony.link !== "";
  if (usesPage)
    context.output.note(`For a passkey or security key instead: open ${ceremony.link}, and press Enter when it is added.`);
  for (let round = 1; ; round++) {
    const code = await ask(context, "Code that the app shows");
    if (code.expose() === "" && usesPage) return waitFor(context, client, ceremony);
    try {
      const request = { token: ceremony.holder, code: code.expose(), name: "" };
      return printEnrolled(context, await client.finishTotpEnrolment(request, { signal: context.signal }));
    } catch (error) {
      if (!isMezError(error, "MFA_REFUSED") || round === MAX_ROUNDS) throw error;
      context.output.note(error.message);
    }
  }
}

/** Waits until the page has done it. @throws {MezError} `MFA_EXPIRED` */
export async function waitFor(context: CommandContext, client: MfaClient, { holder }: Ceremony): Promise<void> {
  for (;;) {
    const { isDone } = await client.waitForCeremony({ holder }, { signal: context.signal });
    if (isDone) return;
  }
}

/** Recovery codes on standard error, so that standard output stays data. */
export function printRecoveryCodes(context: CommandContext, codes: readonly string[]): void {
  context.output.note(
    "Recovery codes, each good for one login without your factor. Keep them in a safe place; they are shown only now:",
  );
  for (let row = 0; row < codes.length; row += 2) context.stderr.write(`  ${codes.slice(row, row + 2).join("    ")}\n`);
}

// --- internal ---

/** Wrong codes before the command gives up; the server ends a ceremony after five. */
const MAX_ROUNDS = 3;

async function answer(context: CommandContext, client: MfaClient, { holder }: Ceremony, code: Secret): Promise<void> {
  const request = { holder, code: code.expose() };
  const answered: AnswerWithCodeResponse = await client.answerWithCode(request, { signal: context.signal });
  if (answered.kind !== FactorKind.FACTOR_KIND_RECOVERY_CODE) return;
  context.output.note(`that was a recovery code; ${answered.recoveryCodes} are left (msh mfa recovery-codes makes new ones)`);
}

function hasTerminal({ stdin, stderr }: CommandContext): boolean {
  return stdin.isTTY === true || stderr.isTTY === true;
}

/** @see https://no-color.org */
function mayColour({ stderr, env }: CommandContext): boolean {
  return stderr.isTTY === true && (env.NO_COLOR ?? "") === "" && env.TERM !== "dumb";
}

async function ask(context: CommandContext, text: string): Promise<Secret> {
  return context.promptSecret(text).catch((thrown: unknown) => {
    if (hasTerminal(context)) throw thrown;
    throw new MezError(
      "MFA_REQUIRED",
      "a second factor is needed; use a terminal, or give a code with --otp-stdin or MEZITE_OTP",
    );
  });
}

function printEnrolled(context: CommandContext, { factor, recoveryCodes }: EnrolmentResult): void {
  context.output.note(`added "${factor?.name ?? ""}"`);
  if (recoveryCodes.length > 0) printRecoveryCodes(context, recoveryCodes);
}
