import { spawn } from "node:child_process";
import { constants } from "node:os";
import { MezError } from "../../core/errors/error.js";
import { accountName } from "../../core/plugin/account-name.js";
import type { CommandContext } from "../../core/plugin/commands.js";
import { meziteFolder } from "../cluster-connection.js";
import type { Profile } from "./profile.js";
import { ProfileStore } from "./profile-store.js";
import { validProfile } from "./user-connection.js";

export interface SshInput {
  /** `node` or `login@node`. */
  readonly node: string;
  readonly login: string | undefined;
  /** Whether access that is missing is asked for. */
  readonly request: boolean;
  readonly reason: string | undefined;
  readonly rest: readonly string[];
}

/**
 * `msh ssh`: runs the system's ssh with the login's configuration.
 * @returns Its exit code; 128 and the signal's number when a signal ended it.
 * @throws {MezError} `UNAUTHENTICATED` without a valid certificate, `INVALID_ARGUMENT`, `PROGRAM_MISSING`
 */
export async function runSsh(context: CommandContext, input: SshInput, options: readonly string[]): Promise<number> {
  const store = new ProfileStore(meziteFolder(context));
  if (input.request) {
    const { requestAccess } = await import("./request-access.js");
    await requestAccess(context, input.node.slice(input.node.lastIndexOf("@") + 1), input.reason);
  }
  const profile = validProfile(context, store);
  const { login, node } = destination(input, profile);
  const words = ["-F", store.filesOf(profile.cluster).sshConfig, ...options, "-l", login, "--", node, ...input.rest];
  return runBesideRefresh(context, profile, "ssh", words);
}

/** `msh scp`: the same for scp. */
export async function runScp(context: CommandContext, paths: readonly string[], options: readonly string[]): Promise<number> {
  if (paths.length < 2) throw new MezError("INVALID_ARGUMENT", "scp needs a source and a destination");
  const store = new ProfileStore(meziteFolder(context));
  const profile = validProfile(context, store);
  const login = usualLogin(profile);
  const user = login === undefined ? [] : ["-o", `User=${login}`];
  return runBesideRefresh(context, profile, "scp", [
    "-F",
    store.filesOf(profile.cluster).sshConfig,
    ...options,
    ...user,
    "--",
    ...paths,
  ]);
}

// --- internal ---

/** How long the end of a program waits for a refresh that has not ended by then. */
const REFRESH_MS = 500;

function destination({ node: text, login }: SshInput, profile: Profile): { login: string; node: string } {
  const at = text.lastIndexOf("@");
  const written = at < 0 ? undefined : text.slice(0, at);
  const node = text.slice(at + 1);
  if (!/^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$/.test(node) || written === "") {
    throw new MezError("INVALID_ARGUMENT", `"${text.slice(0, 80)}" is not a node; write node or login@node`);
  }
  if (written !== undefined && login !== undefined && written !== login) {
    throw new MezError("INVALID_ARGUMENT", `login ${written} in "${text}" and --login=${login} differ; give one`);
  }
  const chosen = login ?? written ?? usualLogin(profile);
  if (chosen !== undefined) return { login: chosen, node };
  const known = profile.logins.filter((name) => !name.startsWith("-"));
  if (known.length === 0)
    throw new MezError("ACCESS_DENIED", `no role of ${profile.user} allows a login on any node; ask an administrator`);
  throw new MezError("INVALID_ARGUMENT", `as whom? write ${known[0]}@${node}; your logins are ${known.join(", ")}`);
}

/** The login of the same name as the local user, else the only one. */
function usualLogin({ logins }: Profile): string | undefined {
  const local = accountName();
  if (local !== null && logins.includes(local)) return local;
  return logins.length === 1 && !logins[0]?.startsWith("-") ? logins[0] : undefined;
}

/** Runs the program, and meanwhile learns of Host CA keys that count from now on. It costs the program no time. */
async function runBesideRefresh(
  context: CommandContext,
  { cluster }: Profile,
  program: string,
  words: readonly string[],
): Promise<number> {
  const { refreshTrustOf } = await import("../trust-refresh.js");
  const ended = new AbortController();
  const refreshed = refreshTrustOf({ ...context, signal: AbortSignal.any([context.signal, ended.signal]) }, cluster);
  const code = await run(context, program, words);
  const limit = setTimeout(() => ended.abort(), REFRESH_MS);
  await refreshed;
  clearTimeout(limit);
  return code;
}

async function run(context: CommandContext, program: string, words: readonly string[]): Promise<number> {
  const child = spawn(program, words, { stdio: "inherit", env: { ...context.env } });
  const stop = (): void => void child.kill("SIGTERM");
  context.signal.addEventListener("abort", stop);
  try {
    return await new Promise<number>((resolve, reject) => {
      child.once("error", (cause: NodeJS.ErrnoException) => reject(startFailure(program, cause)));
      child.once("exit", (code, signal) => resolve(code ?? 128 + constants.signals[signal ?? "SIGTERM"]));
    });
  } finally {
    context.signal.removeEventListener("abort", stop);
  }
}

function startFailure(program: string, cause: NodeJS.ErrnoException): Error {
  if (cause.code !== "ENOENT") return cause;
  return new MezError("PROGRAM_MISSING", `${program} is not installed; install the OpenSSH client`, { cause });
}
