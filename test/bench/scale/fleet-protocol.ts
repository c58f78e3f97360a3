import { hostname } from "node:os";
import { join } from "node:path";

/** What a process of agents is started with, as JSON in `SCALE_FLEET`. */
export interface FleetOrder {
  readonly authServer: string;
  /** The proxy's listener for tunnels, `host:port`. */
  readonly tunnelServer: string;
  /** Where the identities are, a folder for each agent. */
  readonly folder: string;
  /** Number of the first agent. */
  readonly first: number;
  readonly agents: number;
}

/** What of an agent's copies a change is waited for in. */
export type Followed = "locks" | "settings";

/** What a fleet can be asked. */
export type FleetQuestion =
  /** Connects every agent: identity, watch stream with a whole copy, registration, tunnel. */
  | { readonly ask: "connect" }
  /** Begins to count anew what `presence` tells. */
  | { readonly ask: "count" }
  | { readonly ask: "presence" }
  /** What it took so far. */
  | { readonly ask: "attempts" }
  /** Begins to listen for the next change; answers when every agent does. */
  | { readonly ask: "follow"; readonly what: Followed }
  /** Answers when that change has reached every agent. */
  | { readonly ask: "reached" }
  /** How many have no tunnel now. */
  | { readonly ask: "withoutTunnel" }
  /** How many have not had a whole copy or a sign of life since. */
  | { readonly ask: "withoutNews"; readonly since: number }
  | { readonly ask: "report"; readonly eventsPerSecond: number; readonly seconds: number };

/** What happened to the agents of a fleet since `count`. */
export interface Presence {
  /** That the auth service took. */
  readonly heartbeats: number;
  /** That failed, or came more than a fifth of an interval late. */
  readonly missed: number;
  /** Agents that had to open a tunnel again. */
  readonly tunnelsLost: number;
  /** Agents that have heard nothing on their watch stream for more than 15 s. */
  readonly silent: number;
}

/** How often agents had to begin again since the process runs. */
export interface Attempts {
  /** Connections to the auth service; one for each agent is enough. */
  readonly connections: number;
  /** Calls without an answer. */
  readonly failures: number;
}

export interface Reported {
  /** That the auth service has. */
  readonly events: number;
  /** That agents still have. */
  readonly waiting: number;
  /** Calls that were refused, or got no answer, and were made again. */
  readonly again: number;
  /** Until all was stored, or given up on. */
  readonly seconds: number;
}

/** Milliseconds since the epoch when the last agent had it. */
export interface Reached {
  readonly at: number;
}

/** One question on its way to the process. */
export interface NumberedQuestion {
  readonly number: number;
  readonly question: FleetQuestion;
}

export interface NumberedAnswer {
  readonly number: number;
  readonly answer?: unknown;
  readonly error?: string;
}

const VERSION = "0.1.0";

/** What each agent says of itself. */
export const AGENT_FACTS = {
  labels: { env: "test" },
  hostname: hostname(),
  os: `${process.platform} ${process.arch}`,
  version: VERSION,
};

/** Where an agent keeps its identity. @param folder Of all. */
export function agentFolder(folder: string, name: string): string {
  return join(folder, name);
}

/** The name of the agent with this number. */
export function agentName(index: number): string {
  return `agent-${String(index).padStart(5, "0")}`;
}
