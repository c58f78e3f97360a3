import { requireAccountName } from "../../core/plugin/account-name.js";
import type { CommandContext } from "../../core/plugin/commands.js";
import { logInByRounds } from "../../core/plugin/login-rounds.js";
import { Secret } from "../../core/plugin/secret.js";
import type { TrustDecision } from "../../core/rpc/trust.js";
import { KnownAuthorities } from "../../core/rpc/trust-memory.js";
import {
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
    const request = {
      userName: user,
      password: password.expose(),
      connector: attempt.connector ?? "",
      ttlSeconds: attempt.ttl ?? 0,
    };
    return await logInByRounds(context, {
      ...{ connection, userName: user, otp: attempt.otp, replacement: attempt.newPassword },
      send: (answers, newPassword) => client.authenticateLocal({ ...request, answers, newPassword }, { signal: context.signal }),
    });
  } finally {
    connection.close();
  }
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
