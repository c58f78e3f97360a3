import { defineEntity, type EntityManager, p } from "@mikro-orm/core";
import type { Entities } from "../../core/plugin/database.js";
import type { TrustReport } from "../ca/api.js";
import type { Agent, AgentRole, Labels } from "./agent.js";

const AgentRecord = defineEntity({
  name: "AgentRecord",
  tableName: "agents",
  properties: {
    id: p.text().primary(),
    role: p.text(),
    name: p.text(),
    hostname: p.text(),
    agentLabels: p.text(),
    adminLabels: p.text(),
    os: p.text(),
    version: p.text(),
    address: p.text(),
    publicAddresses: p.text(),
    joinedBy: p.text(),
    joinedAt: p.datetime(),
    certificateSerial: p.text(),
    certificateExpiresAt: p.datetime(),
  },
});

const HeartbeatRecord = defineEntity({
  name: "AgentHeartbeatRecord",
  tableName: "agent_heartbeats",
  properties: { agentId: p.text().primary(), lastSeen: p.datetime(), trust: p.text().nullable() },
});

const JoinRecord = defineEntity({
  name: "AgentJoinRecord",
  tableName: "agent_joins",
  properties: { proof: p.text().primary(), agentId: p.text(), requestHash: p.text(), answer: p.text(), createdAt: p.datetime() },
});

export const AGENT_ENTITIES: Entities = [AgentRecord, HeartbeatRecord, JoinRecord];

/** A join that was granted, kept so that its answer can be given again. */
export interface StoredJoin {
  /** Method and subject, e.g. `token:7f3a…`. */
  readonly proof: string;
  readonly agentId: string;
  /** SHA-256 of the request, base64. */
  readonly requestHash: string;
  readonly answer: string;
  readonly createdAt: Date;
}

/** All agents, of both roles. */
export async function findAgents(em: EntityManager): Promise<readonly Agent[]> {
  return (await em.find(AgentRecord, {})).map(fromRecord);
}

/** An agent by role and name, `null` when there is none. */
export async function findAgent(em: EntityManager, role: AgentRole, name: string): Promise<Agent | null> {
  const record = await em.findOne(AgentRecord, { role, name });
  return record === null ? null : fromRecord(record);
}

/** An agent by its id, `null` when there is none. */
export async function findAgentById(em: EntityManager, id: string): Promise<Agent | null> {
  const record = await em.findOne(AgentRecord, { id });
  return record === null ? null : fromRecord(record);
}

/** Names of agents of `role` among `names`. */
export async function findTakenNames(em: EntityManager, role: AgentRole, names: readonly string[]): Promise<readonly string[]> {
  if (names.length === 0) return [];
  const records = await em.find(AgentRecord, { role, name: { $in: [...names] } }, { fields: ["name"] });
  return records.map((record) => record.name);
}

/** The agents that are proxies. */
export async function findProxies(em: EntityManager): Promise<readonly Agent[]> {
  return (await em.find(AgentRecord, { role: "proxy" })).map(fromRecord);
}

/** Stores a new agent. */
export async function insertAgent(em: EntityManager, agent: Agent): Promise<void> {
  await em.insert(AgentRecord, toRecord(agent));
}

/** Replaces what is stored of an agent. */
export async function updateAgent(em: EntityManager, agent: Agent): Promise<void> {
  const { id, ...fields } = toRecord(agent);
  await em.nativeUpdate(AgentRecord, { id }, fields);
}

/** Deletes an agent and its heartbeat. */
export async function deleteAgent(em: EntityManager, id: string): Promise<void> {
  await em.nativeDelete(AgentRecord, { id });
  await em.nativeDelete(HeartbeatRecord, { agentId: id });
}

/** What an agent has shown of itself. */
export interface StoredHeartbeat {
  readonly agentId: string;
  readonly lastSeen: Date;
  /** What it said last of the CA keys that it trusts; `null` when it never did. */
  readonly trust: TrustReport | null;
}

/** When agents were last heard, since a time: every agent of the cluster, so by hand. What they trust is asked for apart. */
export async function findLastSeen(em: EntityManager, since: Date): Promise<readonly Omit<StoredHeartbeat, "trust">[]> {
  const sql = "select agent_id, last_seen from agent_heartbeats where last_seen >= ?";
  const connection = em.getConnection();
  const rows: readonly SeenRow[] = await connection.execute<SeenRow[]>(sql, [since], "all", em.getTransactionContext());
  const platform = em.getPlatform();
  return rows.map((row) => ({ agentId: row.agent_id, lastSeen: platform.parseDate(row.last_seen) }));
}

/** What these agents said last of the CA keys that they trust. */
export async function findTrust(em: EntityManager, agentIds: readonly string[]): Promise<ReadonlyMap<string, TrustReport>> {
  const found = new Map<string, TrustReport>();
  for (let start = 0; start < agentIds.length; start += ROWS_AT_ONCE) {
    const some = agentIds.slice(start, start + ROWS_AT_ONCE);
    const records = await em.find(
      HeartbeatRecord,
      { agentId: { $in: some }, trust: { $ne: null } },
      { disableIdentityMap: true },
    );
    for (const { agentId, trust } of records) if (trust != null) found.set(agentId, JSON.parse(trust));
  }
  return found;
}

/** Stores when agents were last heard, in place of what was stored before; what they trust only when they said it. */
export async function storeHeartbeats(em: EntityManager, beats: readonly StoredHeartbeat[]): Promise<void> {
  const silent = beats.filter(({ trust }) => trust === null).map(({ agentId, lastSeen }) => [agentId, lastSeen]);
  const telling = beats
    .filter(({ trust }) => trust !== null)
    .map(({ agentId, lastSeen, trust }) => [agentId, lastSeen, JSON.stringify(trust)]);
  await upsertHeartbeats(em, ["agent_id", "last_seen"], silent);
  await upsertHeartbeats(em, ["agent_id", "last_seen", "trust"], telling);
}

/** The answer that was given to a proof of joining, `null` for a proof that is new. */
export async function findJoin(em: EntityManager, proof: string): Promise<StoredJoin | null> {
  return em.findOne(JoinRecord, { proof });
}

/** Stores the answer to a proof, so that asking again gives the same one. */
export async function insertJoin(em: EntityManager, join: StoredJoin): Promise<void> {
  await em.insert(JoinRecord, { ...join });
}

/** Deletes answers from before a time. */
export async function deleteJoinsBefore(em: EntityManager, time: Date): Promise<void> {
  await em.nativeDelete(JoinRecord, { createdAt: { $lt: time } });
}

// --- internal ---

const ROWS_AT_ONCE = 500;

interface SeenRow {
  readonly agent_id: string;
  readonly last_seen: string | number;
}

// By hand: every agent of the cluster comes through here each interval, and the query builder takes five times as long.
async function upsertHeartbeats(
  em: EntityManager,
  columns: readonly string[],
  rows: readonly (readonly unknown[])[],
): Promise<void> {
  if (rows.length === 0) return;
  const places = `(${columns.map(() => "?").join(", ")})`;
  const news = columns.slice(1).map((column) => `${column} = excluded.${column}`);
  const sql = `insert into agent_heartbeats (${columns.join(", ")}) values ${rows.map(() => places).join(", ")}
    on conflict (agent_id) do update set ${news.join(", ")}`;
  await em.getConnection().execute(sql, rows.flat(), "run", em.getTransactionContext());
}

interface AgentFields {
  id: string;
  role: string;
  name: string;
  hostname: string;
  agentLabels: string;
  adminLabels: string;
  os: string;
  version: string;
  address: string;
  publicAddresses: string;
  joinedBy: string;
  joinedAt: Date;
  certificateSerial: string;
  certificateExpiresAt: Date;
}

function fromRecord(record: AgentFields): Agent {
  const { id, name, hostname, os, version, address, joinedBy, certificateSerial } = record;
  return {
    ...{ id, name, hostname, os, version, address, joinedBy, certificateSerial },
    role: record.role as AgentRole,
    agentLabels: JSON.parse(record.agentLabels) as Labels,
    adminLabels: JSON.parse(record.adminLabels) as Labels,
    publicAddresses: JSON.parse(record.publicAddresses) as string[],
    joinedAt: record.joinedAt.toISOString(),
    certificateExpiresAt: record.certificateExpiresAt.toISOString(),
  };
}

function toRecord(agent: Agent): AgentFields {
  return {
    ...agent,
    agentLabels: JSON.stringify(agent.agentLabels),
    adminLabels: JSON.stringify(agent.adminLabels),
    publicAddresses: JSON.stringify(agent.publicAddresses),
    joinedAt: new Date(agent.joinedAt),
    certificateExpiresAt: new Date(agent.certificateExpiresAt),
  };
}
