import { isIP } from "node:net";
import { MezError } from "../../core/errors/error.js";
import type { CollectionKind } from "../../core/plugin/collection.js";
import type { ProcessRole } from "../../core/plugin/contract.js";
import type { NodeEntry, ProxyEntry } from "./api.js";

/** What an agent is to the cluster. */
export type AgentRole = Extract<ProcessRole, "node" | "proxy">;

export type Labels = Readonly<Record<string, string>>;

/** The record of a process that has joined. JSON: times are ISO 8601. */
export interface Agent {
  /** UUID; a new one for each join. */
  readonly id: string;
  /** Unique within its role. */
  readonly name: string;
  readonly role: AgentRole;
  readonly hostname: string;
  readonly agentLabels: Labels;
  readonly adminLabels: Labels;
  readonly os: string;
  readonly version: string;
  /** From which it last registered; empty before. */
  readonly address: string;
  /** Names and addresses under which a proxy is reached. */
  readonly publicAddresses: readonly string[];
  /** `local`, or method and subject of the join. */
  readonly joinedBy: string;
  readonly joinedAt: string;
  readonly certificateSerial: string;
  readonly certificateExpiresAt: string;
}

/** Every agent by id, for the auth service alone. */
export const AGENTS: CollectionKind<Agent> = { name: "agents", version: 1, visibleTo: () => false, keysOf: () => [] };

/** What access rules see: the agent's labels and the administrator's; for a key that both set, the administrator's. */
export function labelsOf(agent: Pick<Agent, "agentLabels" | "adminLabels">): Labels {
  return { ...agent.agentLabels, ...agent.adminLabels };
}

/** An agent as the collection `nodes` holds it, with the labels that access rules see. */
export function nodeEntryOf(agent: Agent): NodeEntry {
  return { id: agent.id, name: agent.name, kind: "agent", hostname: agent.hostname, labels: labelsOf(agent) };
}

/** A proxy as the collection `proxies` holds it. */
export function proxyEntryOf({ id, name }: Agent): ProxyEntry {
  return { id, name };
}

/**
 * Checks a name that will stand in certificates: it must not read as an address or as this machine.
 * @throws {MezError} `INVALID_ARGUMENT`
 */
export function parseAgentName(name: string): string {
  const isFree = name !== "localhost" && isIP(name) === 0;
  if (isFree && /^[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?$/.test(name) && !UUID.test(name)) return name;
  throw new MezError(
    "INVALID_ARGUMENT",
    `name "${name.slice(0, 80)}" is not valid; use 1 to 64 lower-case letters, digits, dots, dashes and underscores, no address`,
  );
}

/** @throws {MezError} `INVALID_ARGUMENT` */
export function parseAgentRole(role: string): AgentRole {
  if (role === "node" || role === "proxy") return role;
  throw new MezError("INVALID_ARGUMENT", `role "${role.slice(0, 40)}" is unknown; use node or proxy`);
}

/** @throws {MezError} `INVALID_ARGUMENT` naming the label */
export function parseLabels(labels: Labels): Labels {
  const pairs = Object.entries(labels);
  if (pairs.length > MAX_LABELS)
    throw new MezError("INVALID_ARGUMENT", `${pairs.length} labels are too many; use at most ${MAX_LABELS}`);
  for (const [key, value] of pairs) {
    if (!/^[A-Za-z0-9][A-Za-z0-9._/-]{0,62}$/.test(key)) {
      throw new MezError(
        "INVALID_ARGUMENT",
        `label name "${key.slice(0, 80)}" is not valid; use up to 63 letters, digits, dots, dashes, slashes and underscores`,
      );
    }
    if (value.length > MAX_VALUE_LENGTH || CONTROL_CHARACTER.test(value)) {
      throw new MezError(
        "INVALID_ARGUMENT",
        `the value of label "${key}" is not valid; use up to ${MAX_VALUE_LENGTH} printable characters`,
      );
    }
  }
  return Object.fromEntries(pairs.sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** Host names and IP addresses, lower case. @throws {MezError} `INVALID_ARGUMENT` */
export function parsePublicAddresses(addresses: readonly string[]): readonly string[] {
  for (const address of addresses) {
    if (isIP(address) === 0 && !/^[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?$/.test(address)) {
      throw new MezError(
        "INVALID_ARGUMENT",
        `public address "${address.slice(0, 80)}" is not valid; use a lower-case host name or an IP address, without a port`,
      );
    }
  }
  if (addresses.length > MAX_ADDRESSES)
    throw new MezError("INVALID_ARGUMENT", `${addresses.length} public addresses are too many; use at most ${MAX_ADDRESSES}`);
  return [...new Set(addresses)].sort();
}

/** Text that an agent says of itself, cut and cleaned for terminals. */
export function plainText(text: string): string {
  return text.replace(/\p{Cc}/gu, "").slice(0, MAX_VALUE_LENGTH);
}

// --- internal ---

const MAX_LABELS = 64;
const MAX_ADDRESSES = 16;
const MAX_VALUE_LENGTH = 253;
const CONTROL_CHARACTER = /\p{Cc}/u;
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
