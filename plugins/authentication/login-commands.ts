import type { CommandContext } from "../../core/plugin/commands.js";
import { logInByRounds } from "../../core/plugin/login-rounds.js";
import type { Secret } from "../../core/plugin/secret.js";
import { AuthenticationServiceService } from "../../proto/gen/mezite/authentication/v1/authentication.js";

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
  const { username: userName, otp, newPassword } = input;
  const request = {
    userName,
    password: input.password.expose(),
    ttlSeconds: input.ttl ?? 0,
    connector: input.connector ?? "",
  };
  const session = await logInByRounds(context, {
    ...{ connection, userName, otp, newPassword },
    send: (answers, replacement) => client.authenticateLocal({ ...request, answers, newPassword: replacement }),
  });
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

function warnOfArguments(context: CommandContext): void {
  if (process.argv.some((word) => /^--(?:old-|new-)?password(?:=|$)/.test(word))) {
    context.output.note(
      "warning: a password on the command line can be read by others on this machine; use the prompt or --password-stdin",
    );
  }
}
