import { MezError } from "../../core/errors/error.js";
import type { CommandContext } from "../../core/plugin/commands.js";
import type { Secret } from "../../core/plugin/secret.js";
import {
  type AuthenticateLocalRequest,
  type AuthenticateLocalResponse,
  AuthenticationServiceService,
} from "../../proto/gen/mezite/authentication/v1/authentication.js";

interface LoginInput {
  readonly username: string;
  readonly connector: string | undefined;
  readonly password: Secret;
  readonly newPassword: Secret | undefined;
  readonly otp: Secret | undefined;
  readonly ttl: number | undefined;
}

/** `mezctl login`: the token alone on standard output, everything else on standard error. */
export async function logIn(context: CommandContext, input: LoginInput): Promise<void> {
  warnOfArguments(context);
  const connection = await context.connection();
  const client = connection.client(AuthenticationServiceService);
  const request: AuthenticateLocalRequest = {
    userName: input.username,
    password: input.password.expose(),
    ttlSeconds: input.ttl ?? 0,
    newPassword: input.newPassword?.expose() ?? "",
    connector: input.connector ?? "",
    answers: [],
  };
  let session = await client.authenticateLocal(request);
  for (let round = 0; round < MAX_ROUNDS && isUnfinished(session, request); round++) {
    for (const { step, message } of session.demands) {
      const answer = await context.loginAnswer(step);
      const { username: userName, otp } = input;
      const demand = { message, userName, otp, publicKeys: [], serverAuthority: connection.serverAuthority() };
      const answered = await answer(context, { ...demand, client: (service) => connection.client(service) });
      request.answers.push({ step, message: answered });
    }
    if (session.mustChangePassword && request.newPassword === "")
      request.newPassword = (await askForNew(context, input.username)).expose();
    session = await client.authenticateLocal(request);
  }
  if (session.token === "") throw new MezError("INTERNAL", "the server keeps asking for more; its log may say why");
  if (session.notice !== "") context.output.note(`session ${session.notice}`);
  context.stdout.write(`${session.token}\n`);
}

/** `mezctl logout` */
export async function logOut(context: CommandContext): Promise<void> {
  await (await context.rpc(AuthenticationServiceService)).logout({});
  context.output.note("logged out");
}

/** `mezctl passwd` */
export async function changePassword(
  context: CommandContext,
  input: { readonly oldPassword: Secret; readonly newPassword: Secret },
): Promise<void> {
  warnOfArguments(context);
  const client = await context.rpc(AuthenticationServiceService);
  await client.changePassword({ oldPassword: input.oldPassword.expose(), newPassword: input.newPassword.expose() });
  context.output.note("password changed; other login sessions ended");
}

// --- internal ---

/** Each login step answers once, and the password may have to be changed. */
const MAX_ROUNDS = 4;

function isUnfinished(
  { token, mustChangePassword }: AuthenticateLocalResponse,
  { newPassword }: AuthenticateLocalRequest,
): boolean {
  return token === "" || (mustChangePassword && newPassword === "");
}

async function askForNew(context: CommandContext, userName: string): Promise<Secret> {
  if (context.stdin.isTTY !== true) {
    throw new MezError(
      "PASSWORD_CHANGE_REQUIRED",
      `the one-time password of ${userName} has to be changed first: log in on a terminal, or give the new one with --new-password-stdin`,
    );
  }
  context.output.note("this password works once; choose a new one");
  const chosen = await context.promptSecret("New password");
  const again = await context.promptSecret("New password again");
  if (chosen.expose() !== again.expose()) throw new MezError("INVALID_ARGUMENT", "the two entries for the new password differ");
  return chosen;
}

function warnOfArguments(context: CommandContext): void {
  if (process.argv.some((word) => /^--(?:old-|new-)?password(?:=|$)/.test(word))) {
    context.output.note(
      "warning: a password on the command line can be read by others on this machine; use the prompt or --password-stdin",
    );
  }
}
