import { basename, resolve } from "node:path";
import { EXIT_CODES } from "../../core/cli/exit-codes.js";
import type { CommandSummary } from "../../core/cli/route.js";
import { type Command, command } from "../../core/plugin/commands.js";
import { OPENSSH_COMMANDS } from "./openssh-commands.js";

const login = command({
  name: "login",
  summary: "Log in and fetch certificates",
  description:
    "Asks for the password, and for a new one when the present one is a one-time password. The keys are made here and never leave this machine.",
  examples: [
    "msh login --auth-server=mezite.example.com --user=alice",
    "msh login --user=deploy-bot --password-stdin --ttl=1h --out=./identity/",
  ],
  flags: {
    user: {
      type: "string",
      aliases: ["username"],
      env: "MEZITE_USER",
      description: "Who logs in (default: as before, or you)",
      valueName: "name",
    },
    connector: {
      type: "string",
      description: "Sign in through this connector, with the password that you have there",
      valueName: "name",
    },
    password: { type: "secret", description: "Password; asked for when absent" },
    newPassword: { type: "secret", description: "What replaces a one-time password; asked for when absent" },
    otp: { type: "secret", description: "Code of your authenticator app, or a recovery code; asked for when absent" },
    ttl: { type: "duration", minSeconds: 1, description: "How long the certificates shall be valid, for example 8h" },
    out: {
      type: "string",
      env: false,
      description:
        "Write an identity for scripts to this folder (ending in /) or under this file name, and leave the login as it is",
      valueName: "path",
    },
  },
  async run(context, input) {
    const { logIn } = await import("./login.js");
    await logIn(context, input);
  },
});

const logout = command({
  name: "logout",
  summary: "End the login and remove its keys",
  examples: ["msh logout"],
  async run(context) {
    const { logOut } = await import("./logout.js");
    await logOut(context);
  },
});

const status = command({
  name: "status",
  summary: "Show who is logged in, and until when",
  description: "Exits with 3 when nobody is, or when the login has expired.",
  examples: ["msh status", "msh status --format=json"],
  async run(context) {
    const { showStatus } = await import("./status.js");
    return showStatus(context);
  },
});

const ls = command({
  name: "ls",
  summary: "List the nodes that you may reach",
  examples: ["msh ls", "msh ls --format=json"],
  async run(context) {
    const { listNodes } = await import("./list-nodes.js");
    await listNodes(context);
  },
});

const play = command({
  name: "play",
  summary: "Play a recorded session in this terminal",
  description: "While it plays, space pauses, . goes one step, arrows seek, + and - change the speed, q quits.",
  examples: ["msh play 0197c1f2-8a54-7cc0-b3a1-5c2f8e3f0b11", "msh play --speed=4 --max-idle=2s --seek=10m session.cast"],
  positionals: { recording: { description: "Session id, or an asciicast file" } },
  flags: {
    speed: { type: "string", default: "1", env: false, description: "Times as fast", valueName: "factor" },
    maxIdle: { type: "duration", env: false, description: "Cut longer pauses to this" },
    seek: { type: "duration", env: false, description: "Begin there" },
  },
  async run(context, input) {
    const { play } = await import("./play.js");
    return play(context, input);
  },
});

const agent = command({
  name: "agent",
  summary: "Hold the login's key for every program that can use an SSH agent",
  description:
    "Speaks the protocol of ssh-agent on a socket, renews the certificate while the login lasts, and can stand in front of your own agent. Without a program to run it prints the line that sets SSH_AUTH_SOCK, and stays until it is interrupted.",
  examples: [
    "msh agent -- bash                                 # a shell whose ssh, git and rsync use it",
    "msh agent --upstream=$SSH_AUTH_SOCK &             # in front of your own agent",
    "msh config --agent > ~/.ssh/mezite.conf           # what OpenSSH needs to find it",
  ],
  flags: {
    socket: {
      type: "string",
      env: false,
      description: "Where to listen (default: ~/.mezite/agent/agent.sock)",
      valueName: "path",
    },
    upstream: { type: "string", env: false, description: "Socket of the agent to ask for other keys", valueName: "path" },
    confirm: { type: "boolean", env: false, description: "Ask with SSH_ASKPASS at each use of the login's key" },
  },
  rest: { name: "command", description: "Program to run with the agent" },
  async run(context, input) {
    const { runAgent } = await import("./agent/start-agent.js");
    return runAgent(context, input);
  },
});

const answers = command({
  name: "__answers",
  summary: "Tell by the exit code whether an SSH proxy is the one to take",
  hidden: true,
  positionals: { address: { description: "host:port" } },
  async run(context, { address }) {
    const { isProxyToTake } = await import("./answering-proxy.js");
    return (await isProxyToTake(context, address)) ? EXIT_CODES.ok : EXIT_CODES.unavailable;
  },
});

const refresh = command({
  name: "__refresh",
  summary: "Learn which Host CA keys count",
  hidden: true,
  positionals: { folder: { description: "~/.mezite/profiles/<cluster>" } },
  async run(context, { folder }) {
    const { refreshTrustOf } = await import("../trust-refresh.js");
    await refreshTrustOf({ ...context, homeDirectory: resolve(folder, "../../..") }, basename(folder));
  },
});

/** The commands of msh that belong to no plugin. */
export const USER_COMMANDS: readonly CommandSummary[] = [
  login,
  logout,
  status,
  ls,
  ...OPENSSH_COMMANDS,
  play,
  agent,
  answers,
  refresh,
].map((entry: Command) => ({
  ...entry,
  load: async () => ({ msh: [entry] }),
}));
