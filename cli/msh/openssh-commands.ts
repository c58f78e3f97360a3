import { type Command, command, type Flags } from "../../core/plugin/commands.js";

/** What ssh and scp call the same; handed through as they are. */
const COMMON = {
  option: {
    type: "string",
    short: "o",
    repeatable: true,
    env: false,
    description: "Option of ssh_config(5)",
    valueName: "key=value",
  },
  forwardAgent: { type: "boolean", short: "A", env: false, description: "Forward the authentication agent" },
  compress: { type: "boolean", short: "C", env: false, description: "Compress" },
  quiet: { type: "boolean", short: "q", env: false, description: "Hide warnings of ssh" },
  verbose: { type: "boolean", short: "v", repeatable: true, env: false, description: "Show what ssh does" },
  identity: {
    type: "string",
    short: "i",
    repeatable: true,
    env: false,
    hidden: true,
    description: "Another key",
    valueName: "file",
  },
} as const satisfies Flags;

const SSH_FLAGS = {
  request: { type: "boolean", env: false, description: "Ask for access that is missing, wait for the approval, then connect" },
  reason: { type: "string", env: false, valueName: "text", description: "With --request: one line for the reviewers" },
  login: { type: "string", short: "l", env: "MEZITE_LOGIN", description: "Login name on the node", valueName: "name" },
  port: { type: "integer", short: "p", min: 1, max: 65_535, env: false, description: "Port of the node", valueName: "port" },
  localForward: {
    type: "string",
    short: "L",
    repeatable: true,
    env: false,
    description: "Forward a local port or socket",
    valueName: "forward",
  },
  remoteForward: {
    type: "string",
    short: "R",
    repeatable: true,
    env: false,
    description: "Forward a port or socket of the node",
    valueName: "forward",
  },
  dynamicForward: {
    type: "string",
    short: "D",
    repeatable: true,
    env: false,
    description: "Open a local SOCKS proxy",
    valueName: "port",
  },
  stdioForward: {
    type: "string",
    short: "W",
    env: false,
    description: "Connect standard input and output to an address",
    valueName: "host:port",
  },
  noCommand: { type: "boolean", short: "N", env: false, description: "Run no command; for forwardings alone" },
  background: { type: "boolean", short: "f", env: false, description: "Go to the background before the command runs" },
  gatewayPorts: { type: "boolean", short: "g", env: false, description: "Let other hosts use forwarded ports" },
  noInput: { type: "boolean", short: "n", env: false, description: "Read nothing from standard input" },
  terminal: { type: "boolean", short: "t", repeatable: true, env: false, description: "Ask for a terminal" },
  noTerminal: { type: "boolean", short: "T", env: false, description: "Ask for no terminal" },
  subsystem: { type: "boolean", short: "s", env: false, description: "The command is the name of a subsystem" },
  ...COMMON,
} as const satisfies Flags;

const SCP_FLAGS = {
  recursive: { type: "boolean", short: "r", env: false, description: "Copy folders with all that is in them" },
  preserve: { type: "boolean", short: "p", env: false, description: "Keep times and modes" },
  port: { type: "integer", short: "P", min: 1, max: 65_535, env: false, description: "Port of the node", valueName: "port" },
  limit: { type: "integer", short: "l", min: 1, env: false, description: "Most kilobits per second", valueName: "kbit/s" },
  viaHere: { type: "boolean", short: "3", env: false, description: "Copy from node to node through this machine" },
  ...COMMON,
} as const satisfies Flags;

const config = command({
  name: "config",
  summary: "Print a configuration for OpenSSH",
  description:
    "With it ssh, scp, sftp, rsync, git and Ansible reach the nodes by themselves. It stays right after the next login: only the files that it names change. Every login also leaves it in ~/.mezite/ssh_config.",
  examples: [
    "ssh -F ~/.mezite/ssh_config deploy@web-01",
    "msh config > cluster.conf && ssh -F cluster.conf deploy@web-01",
    "msh config --include > ~/.ssh/mezite.conf   # then put at the top of ~/.ssh/config: Include mezite.conf",
  ],
  flags: {
    include: { type: "boolean", env: false, description: "For ~/.ssh/config: speak of names ending in the cluster's name only" },
    agent: { type: "boolean", env: false, description: "Take the key from msh agent in place of files" },
    jump: { type: "boolean", env: false, description: "Reach nodes by ProxyJump, which needs no msh on the machine" },
  },
  async run(context, input) {
    const { printConfig } = await import("./print-config.js");
    await printConfig(context, input);
  },
});

const ssh = command({
  name: "ssh",
  summary: "Open a shell on a node, or run a command there",
  description: "Runs the OpenSSH client of this machine. Exits as the remote command does.",
  examples: [
    "msh ssh deploy@web-01",
    "msh ssh -l deploy web-01 uptime",
    "msh ssh -N -L 5432:localhost:5432 deploy@db-01",
    'msh ssh --request --reason="ticket 4711" deploy@db-01',
  ],
  positionals: { node: { description: "Node, or login@node", aliases: ["host"] } },
  flags: SSH_FLAGS,
  rest: { name: "command", description: "Command to run there" },
  async run(context, input) {
    const { runSsh } = await import("./run-openssh.js");
    return runSsh(context, input, clientArguments(input, SSH_FLAGS, ["login", "request", "reason"]));
  },
});

const scp = command({
  name: "scp",
  summary: "Copy files to and from nodes",
  description: "Runs the scp of this machine.",
  examples: ["msh scp report.pdf deploy@web-01:/srv/", "msh scp -r deploy@web-01:logs ."],
  flags: SCP_FLAGS,
  rest: { name: "path", description: "Sources, then the destination; on a node: [login@]node:path", required: true },
  async run(context, input) {
    const { runScp } = await import("./run-openssh.js");
    return runScp(context, input.rest, clientArguments(input, SCP_FLAGS, []));
  },
});

export const OPENSSH_COMMANDS: readonly Command[] = [ssh, scp, config];

/** Writes flags again as ssh and scp read them: `-L 8080:localhost:80 -N`. */
export function clientArguments(
  input: Readonly<Record<string, unknown>>,
  flags: Flags,
  except: readonly string[],
): readonly string[] {
  return Object.entries(flags)
    .filter(([key]) => !except.includes(key))
    .flatMap(([key, { short }]) => {
      const value = input[key];
      const values: readonly unknown[] = Array.isArray(value) ? value : [value];
      return values
        .filter((each) => each !== undefined && each !== false)
        .flatMap((each) => (each === true ? [`-${short}`] : [`-${short}`, String(each)]));
    });
}
