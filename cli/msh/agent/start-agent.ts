import { spawn } from "node:child_process";
import { once } from "node:events";
import { constants } from "node:os";
import { resolve } from "node:path";
import { write } from "../../../core/cli/output.js";
import { isMezError, MezError, messageOf } from "../../../core/errors/error.js";
import type { CommandContext } from "../../../core/plugin/commands.js";
import type { Secret } from "../../../core/plugin/secret.js";
import { loadPeerCredentials, type PeerCredentialsReader } from "../../../core/unix-socket/peer-credentials.js";
import { meziteFolder } from "../../cluster-connection.js";
import { logIn } from "../login.js";
import type { Profile } from "../profile.js";
import { ProfileStore } from "../profile-store.js";
import { renewLogin } from "../renew-login.js";
import { chosenProfile } from "../user-connection.js";
import { AgentListener } from "./agent-listener.js";
import { AgentLock } from "./agent-lock.js";
import { agentSocket } from "./agent-path.js";
import { Askpass } from "./askpass.js";
import { KeyRing } from "./key-ring.js";
import { ProfileLogin } from "./profile-login.js";
import { SshAgent } from "./ssh-agent.js";

export interface AgentInput {
  readonly socket: string | undefined;
  readonly upstream: string | undefined;
  readonly confirm: boolean;
  /** A program to run with the agent; empty to run until interrupted. */
  readonly rest: readonly string[];
}

/**
 * `msh agent`
 * @returns The exit code of the program that it runs.
 * @throws {MezError} `ADDRESS_IN_USE`, `ADDRESS_UNUSABLE`, `INVALID_ARGUMENT`
 */
export async function runAgent(context: CommandContext, input: AgentInput): Promise<number | undefined> {
  const path = input.socket === undefined ? agentSocket(context) : resolve(input.socket);
  const upstreamPath = input.upstream === undefined ? null : resolve(input.upstream);
  if (upstreamPath === path)
    throw new MezError("INVALID_ARGUMENT", "an agent cannot stand in front of itself: --socket and --upstream are the same");
  const note = (text: string): void => context.output.note(text);
  const askpass = new Askpass(context.env, context.signal);
  const ended = new AbortController();
  const login = profileLogin(context, askpass, input.rest.length > 0, ended.signal);
  const agent = new SshAgent({
    login,
    added: new KeyRing(),
    lock: new AgentLock(),
    confirmLogin: input.confirm,
    confirm: (question) => askpass.confirm(question),
  });
  const listener = new AgentListener({ agent, path, upstreamPath, credentialsOf: await peerCredentials(note), note });
  await listener.listen();
  login.start();
  try {
    if (input.rest.length > 0) return await runProgram(context, input.rest, path);
    await write(context.stdout, `${environmentLine(context, path)}\n`);
    if (!context.signal.aborted) await once(context.signal, "abort");
    return undefined;
  } finally {
    ended.abort();
    login.stop();
    await listener.close();
  }
}

// --- internal ---

async function peerCredentials(note: (text: string) => void): Promise<PeerCredentialsReader | null> {
  try {
    return await loadPeerCredentials();
  } catch (error) {
    if (!isMezError(error, "PEER_CREDENTIALS_UNAVAILABLE")) throw error;
    note(`${messageOf(error)}; the mode of the socket and its folder keep others out`);
    return null;
  }
}

function profileLogin(context: CommandContext, askpass: Askpass, isTerminalTaken: boolean, ended: AbortSignal): ProfileLogin {
  const store = new ProfileStore(meziteFolder(context));
  const asks =
    askpass.isThere && (isTerminalTaken || context.stdin.isTTY !== true || context.env["SSH_ASKPASS_REQUIRE"] === "force");
  const canAsk = asks || (context.stdin.isTTY === true && !isTerminalTaken);
  const quiet: CommandContext = {
    ...context,
    output: { ...context.output, note: (text) => context.output.note(text), record: async () => {}, rows: async () => {} },
    ...(asks ? { promptSecret: (text: string): Promise<Secret> => askpass.secret(text) } : {}),
  };
  return new ProfileLogin({
    store,
    choose: () => chosenProfile(context, store),
    renew: (profile, ttlSeconds) => renewLogin(quiet, store, profile, ttlSeconds),
    refreshTrust: ({ cluster }) => void refreshTrust({ ...context, signal: AbortSignal.any([context.signal, ended]) }, cluster),
    logIn: canAsk ? (profile) => logInAgain(quiet, profile) : null,
    now: () => context.now(),
    note: (text) => context.output.note(text),
  });
}

async function refreshTrust(context: CommandContext, cluster: string): Promise<void> {
  const { refreshTrustOf } = await import("../../trust-refresh.js");
  await refreshTrustOf(context, cluster);
}

async function logInAgain(context: CommandContext, { user, authServers, cluster }: Profile): Promise<void> {
  context.output.note(`the login of ${user} on cluster ${cluster} has ended, and a program needs its key`);
  const given = {
    connector: undefined,
    password: undefined,
    newPassword: undefined,
    otp: undefined,
    ttl: undefined,
    out: undefined,
  };
  await logIn({ ...context, globals: { ...context.globals, authServer: authServers.join(",") } }, { user, ...given });
}

function environmentLine({ env }: CommandContext, path: string): string {
  const quoted = `'${path.replaceAll("'", `'\\''`)}'`;
  return /csh$/.test(env["SHELL"] ?? "") ? `setenv SSH_AUTH_SOCK ${quoted};` : `SSH_AUTH_SOCK=${quoted}; export SSH_AUTH_SOCK;`;
}

async function runProgram(context: CommandContext, [program = "", ...args]: readonly string[], path: string): Promise<number> {
  const child = spawn(program, args, { stdio: "inherit", env: { ...context.env, SSH_AUTH_SOCK: path } });
  const stop = (): void => void child.kill("SIGTERM");
  context.signal.addEventListener("abort", stop);
  try {
    const [code, signal] = (await once(child, "exit")) as [number | null, NodeJS.Signals | null];
    return code ?? 128 + (signal === null ? 0 : constants.signals[signal]);
  } catch (cause) {
    throw new MezError("INVALID_ARGUMENT", `"${program}" could not be run: ${messageOf(cause)}`, { cause });
  } finally {
    context.signal.removeEventListener("abort", stop);
  }
}
