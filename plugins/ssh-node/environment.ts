import type { OsAccount } from "./os-account.js";

/** Tells whether a client may set a variable: `LANG`, `LC_*`, and what the config names. */
export function isAcceptedVariable(name: string, accepted: readonly string[]): boolean {
  if (!/^[A-Za-z_][A-Za-z0-9_]{0,255}$/.test(name)) return false;
  if (name === "LANG" || name === "TERM" || name.startsWith("LC_")) return true;
  return accepted.some((pattern) => (pattern.endsWith("*") ? name.startsWith(pattern.slice(0, -1)) : name === pattern));
}

export interface EnvironmentParts {
  readonly account: OsAccount;
  readonly sessionId: string;
  readonly clientAddress: string;
  readonly clientPort: number;
  /** What the client set and `isAcceptedVariable` let through. */
  readonly accepted: ReadonlyMap<string, string>;
  readonly terminal: { readonly term: string; readonly path: string } | null;
  readonly agentSocket: string | null;
  /** What the client asked for, when a forced command runs in its place. */
  readonly originalCommand: string | null;
}

/** The clean environment that a session's program starts in. Nothing of the daemon's own gets in. */
export function environmentOf(parts: EnvironmentParts): Record<string, string> {
  const { account, clientAddress, clientPort, terminal, agentSocket, originalCommand } = parts;
  return {
    ...Object.fromEntries(parts.accepted),
    HOME: account.home,
    USER: account.name,
    LOGNAME: account.name,
    SHELL: account.shell,
    PATH: account.uid === 0 ? ROOT_PATH : USER_PATH,
    // The tunnel has no port of its own here; scripts look at the first two words.
    SSH_CLIENT: `${clientAddress} ${clientPort} ${SERVER_PORT}`,
    SSH_CONNECTION: `${clientAddress} ${clientPort} ${SERVER_ADDRESS} ${SERVER_PORT}`,
    MEZITE_SESSION_ID: parts.sessionId,
    ...(terminal === null ? {} : { SSH_TTY: terminal.path, TERM: terminal.term }),
    ...(agentSocket === null ? {} : { SSH_AUTH_SOCK: agentSocket }),
    ...(originalCommand === null ? {} : { SSH_ORIGINAL_COMMAND: originalCommand }),
  };
}

// --- internal ---

const USER_PATH = "/usr/local/bin:/usr/bin:/bin:/usr/local/games:/usr/games";
const ROOT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const SERVER_ADDRESS = "127.0.0.1";
const SERVER_PORT = 22;
