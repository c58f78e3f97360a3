import { MezError } from "../../core/errors/error.js";
import { requireAccountName } from "../../core/plugin/account-name.js";
import type { CommandContext } from "../../core/plugin/commands.js";
import { Secret } from "../../core/plugin/secret.js";
import type { TrustDecision } from "../../core/rpc/trust.js";
import { KnownAuthorities } from "../../core/rpc/trust-memory.js";
import {
  type AuthenticateLocalRequest,
  type AuthenticateLocalResponse,
  AuthenticationServiceService,
} from "../../proto/gen/mezite/authentication/v1/authentication.js";
import { dialTrusted, meziteFolder, trustFor } from "../cluster-connection.js";
import { type Certified, fetchCertificates } from "./fetch-certificates.js";
import { writeIdentity } from "./identity-output.js";
import { formatSshConfig } from "./openssh-config.js";
import { hasAll } from "./profile.js";
import { ProfileStore } from "./profile-store.js";
import { authServersFor } from "./server-addresses.js";
import { PROFILE_COLUMNS } from "./status.js";

export interface LoginInput {
  readonly user: string | undefined;
  /** Who checks the password, in place of the cluster itself. */
  readonly connector: string | undefined;
  readonly password: Secret | undefined;
  readonly newPassword: Secret | undefined;
  readonly otp: Secret | undefined;
  /** Seconds. */
  readonly ttl: number | undefined;
  readonly out: string | undefined;
}

/**
 * `msh login`
 * @throws {MezError} `INVALID_CREDENTIALS`, `SERVER_NOT_TRUSTED`, `TOO_MANY_ATTEMPTS`, `PASSWORD_REFUSED`
 */
export async function logIn(context: CommandContext, input: LoginInput): Promise<void> {
  const store = new ProfileStore(meziteFolder(context));
  const before = store.current();
  const authServers = authServersFor(flag(context, "authServer"), flag(context, "proxy"), before?.authServers);
  const isAsBefore = before !== null && hasAll(before.authServers, authServers);
  const user = input.user ?? (isAsBefore ? before.user : requireAccountName("--user"));
  // Before the password is asked for: it must not be typed for a server that is then refused.
  const decision = await trustFor(context, authServers);
  const session = await authenticate(context, { ...input, user, authServers, decision });
  const login = { user, authServers, token: new Secret(session.token), sessionExpiresAt: session.expiresAt ?? context.now() };
  const certified = await fetchCertificates(context, login, decision, input.ttl);
  for (const notice of new Set([session.notice, certified.notice])) if (notice !== "") context.output.note(notice);
  await keep(context, store, certified, input.out);
  rememberAuthorities(context, authServers, decision, certified);
}

// --- internal ---

interface Attempt extends LoginInput {
  readonly user: string;
  readonly authServers: readonly string[];
  readonly decision: TrustDecision;
}

async function authenticate(context: CommandContext, attempt: Attempt): Promise<AuthenticateLocalResponse> {
  const { authServers, decision, user } = attempt;
  const password =
    attempt.password ?? (await context.promptSecret(`Password of ${user} at ${attempt.connector ?? authServers[0]}`));
  const connection = await dialTrusted(context, authServers, decision);
  try {
    const client = connection.client(AuthenticationServiceService);
    const request: AuthenticateLocalRequest = {
      userName: user,
      password: password.expose(),
      newPassword: "",
      connector: attempt.connector ?? "",
      ttlSeconds: attempt.ttl ?? 0,
      answers: [],
    };
    let session = await client.authenticateLocal(request, { signal: context.signal });
    for (let round = 0; round < MAX_ROUNDS && isUnfinished(session, request); round++) {
      for (const { step, message } of session.demands) {
        const answer = await context.loginAnswer(step);
        const serverAuthority = connection.serverAuthority();
        const demand = { message, userName: user, publicKeys: [], otp: attempt.otp, serverAuthority };
        const answered = await answer(context, { ...demand, client: (service) => connection.client(service) });
        request.answers.push({ step, message: answered });
      }
      if (session.mustChangePassword && request.newPassword === "")
        request.newPassword = (attempt.newPassword ?? (await askForNewPassword(context))).expose();
      session = await client.authenticateLocal(request, { signal: context.signal });
    }
    if (session.token === "") throw new MezError("INTERNAL", "the server keeps asking for more; its log may say why");
    if (request.newPassword !== "") context.output.note("the password is changed");
    return session;
  } finally {
    connection.close();
  }
}

/** Each login step answers once, and the password may have to be changed. */
const MAX_ROUNDS = 4;

function isUnfinished(
  { token, mustChangePassword }: AuthenticateLocalResponse,
  { newPassword }: AuthenticateLocalRequest,
): boolean {
  return token === "" || (mustChangePassword && newPassword === "");
}

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

async function keep(context: CommandContext, store: ProfileStore, certified: Certified, out: string | undefined): Promise<void> {
  const { profile, credentials } = certified;
  if (out !== undefined) {
    const paths = writeIdentity(out, profile, credentials);
    context.output.note(`wrote ${paths.join(", ")}; use them with ssh -F ${paths.at(-1)} <login>@<node>`);
  } else {
    store.save(profile, credentials, formatSshConfig(profile, store.filesOf(profile.cluster), "everything"));
  }
  await context.output.record({ ...profile, state: "valid" }, PROFILE_COLUMNS);
}

/** What was pinned or accepted once holds for the next commands too, without the flag. */
function rememberAuthorities(
  context: CommandContext,
  addresses: readonly string[],
  { origin }: TrustDecision,
  { authoritiesPem }: Certified,
): void {
  if (!["ca-file", "ca-pin", "remembered", "asked"].includes(origin) || authoritiesPem.length === 0) return;
  const known = new KnownAuthorities(meziteFolder(context));
  for (const address of addresses) known.remember(address, authoritiesPem);
}

function flag(context: CommandContext, name: "authServer" | "proxy"): string | undefined {
  const value = context.globals[name];
  return typeof value === "string" ? value : undefined;
}
