import { MezError } from "../errors/error.js";
import type { CommandContext } from "./commands.js";
import type { LoginDemand } from "./login-answer.js";
import type { RpcConnection } from "./rpc.js";
import type { Secret } from "./secret.js";

/** What a login step asked for, or was answered. */
export interface StepMessage {
  readonly step: string;
  readonly message: Buffer;
}

/** What the server says in each round of a login. */
export interface LoginState {
  /** Empty while it asks for more. */
  readonly token: string;
  readonly mustChangePassword: boolean;
  readonly demands: readonly StepMessage[];
}

/** A login that begins. */
export interface LoginRound<State extends LoginState> extends Pick<LoginDemand, "userName" | "otp"> {
  readonly connection: Pick<RpcConnection, "client" | "serverAuthority">;
  /** What replaces the password in any case. */
  readonly newPassword?: Secret | undefined;
  /** What replaces a one-time password; asked for when absent. */
  readonly replacement?: Secret | undefined;
  /** Sends all that is known by now. @param newPassword Empty leaves the password. */
  send(answers: StepMessage[], newPassword: string): Promise<State>;
}

/**
 * Logs in: answers what login steps ask for, and replaces a one-time password.
 * @returns The last answer, with a token.
 * @throws {MezError} `PASSWORD_CHANGE_REQUIRED` without a terminal; what the server and the steps throw
 */
export async function logInByRounds<State extends LoginState>(context: CommandContext, login: LoginRound<State>): Promise<State> {
  const { connection, userName, otp, send } = login;
  const answers: StepMessage[] = [];
  let newPassword = login.newPassword?.expose() ?? "";
  let state = await send(answers, newPassword);
  const isUnfinished = (): boolean => state.token === "" || (state.mustChangePassword && newPassword === "");
  for (let round = 0; round < MAX_ROUNDS && isUnfinished(); round++) {
    for (const { step, message } of state.demands) {
      const answer = await context.loginAnswer(step);
      const demand = { message, userName, otp, publicKeys: [], serverAuthority: connection.serverAuthority() };
      answers.push({ step, message: await answer(context, { ...demand, client: (service) => connection.client(service) }) });
    }
    if (state.mustChangePassword && newPassword === "")
      newPassword = (login.replacement ?? (await askForNewPassword(context))).expose();
    state = await send(answers, newPassword);
  }
  if (state.token === "") throw new MezError("INTERNAL", "the server keeps asking for more; its log may say why");
  if (newPassword !== "") context.output.note("the password is changed");
  return state;
}

// --- internal ---

/** Each login step answers once, and the password may have to be changed. */
const MAX_ROUNDS = 4;

async function askForNewPassword(context: CommandContext): Promise<Secret> {
  context.output.note("This is a one-time password. Choose your own now.");
  const first = await context.promptSecret("New password").catch((thrown: unknown) => {
    if (context.stdin.isTTY === true || context.stderr.isTTY === true) throw thrown;
    throw new MezError(
      "PASSWORD_CHANGE_REQUIRED",
      "this is a one-time password; log in on a terminal, or give the new one with --new-password-stdin or MEZITE_NEW_PASSWORD",
    );
  });
  const second = await context.promptSecret("New password again");
  if (first.expose() !== second.expose()) throw new MezError("INVALID_ARGUMENT", "the two entries for the new password differ");
  return first;
}
