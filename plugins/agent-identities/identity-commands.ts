import type { Column, CommandContext } from "../../core/plugin/commands.js";
import {
  type AgentIdentity,
  AgentIdentityServiceService,
  type Instance,
  type NewToken,
} from "../../proto/gen/mezite/agent_identities/v1/agent_identities.js";

/** `mezctl agent-identities add` */
export async function addIdentity(
  context: CommandContext,
  input: { readonly name: string; readonly roles: readonly string[] | undefined; readonly tokenTtl: number },
): Promise<void> {
  const client = await context.rpc(AgentIdentityServiceService);
  const request = { name: input.name, roles: [...(input.roles ?? [])], tokenTtlSeconds: input.tokenTtl };
  await printToken(context, await client.createAgentIdentity(request, { signal: context.signal }), "created");
  if (request.roles.length === 0) context.output.note("it has no roles, so it can log in nowhere");
}

/** `mezctl agent-identities add-token` */
export async function addToken(
  context: CommandContext,
  { name, tokenTtl }: { readonly name: string; readonly tokenTtl: number },
): Promise<void> {
  const client = await context.rpc(AgentIdentityServiceService);
  const made = await client.createAgentIdentityToken({ name, tokenTtlSeconds: tokenTtl }, { signal: context.signal });
  await printToken(context, made, "has one more token");
}

/** `mezctl agent-identities ls` */
export async function listIdentities(context: CommandContext): Promise<void> {
  const client = await context.rpc(AgentIdentityServiceService);
  const { identities } = await client.listAgentIdentities({}, { signal: context.signal });
  await context.output.rows(identities, [
    NAME,
    ROLES,
    STATUS,
    { key: "instances", header: "INSTANCES", value: ({ instances }) => instances.length, align: "right" },
    { key: "openTokens", header: "OPEN TOKENS", value: ({ openTokens }) => openTokens, align: "right" },
    LAST_SEEN,
  ]);
}

/** `mezctl agent-identities status` */
export async function showIdentity(context: CommandContext, name: string): Promise<void> {
  const client = await context.rpc(AgentIdentityServiceService);
  const identity = await client.getAgentIdentity({ name }, { signal: context.signal });
  const isTable = context.output.format === "table";
  await context.output.record(identity, [
    NAME,
    STATUS,
    ROLES,
    { key: "generation", header: "GENERATION", value: ({ instances }) => latest(instances)?.generation ?? 0 },
    LAST_SEEN,
    { key: "createdBy", header: "CREATED BY", value: ({ createdBy }) => createdBy },
    { key: "createdAt", header: "CREATED", value: ({ createdAt }) => createdAt },
    { key: "openTokens", header: "OPEN TOKENS", value: ({ openTokens }) => openTokens },
    ...(isTable ? [] : [INSTANCES]),
  ]);
  if (!isTable || identity.instances.length === 0) return;
  context.stdout.write("\n");
  await context.output.rows(identity.instances, INSTANCE_COLUMNS);
}

/** `mezctl agent-identities rm` */
export async function removeIdentity(context: CommandContext, name: string): Promise<void> {
  const client = await context.rpc(AgentIdentityServiceService);
  await client.deleteAgentIdentity({ name }, { signal: context.signal });
  context.output.note(`agent identity ${name} removed; its tokens, renewals and sessions have ended`);
}

// --- internal ---

async function printToken(context: CommandContext, { identity, token, expiresAt }: NewToken, done: string): Promise<void> {
  if (identity === undefined) return;
  const server = typeof context.globals["authServer"] === "string" ? context.globals["authServer"] : "localhost:3025";
  // The token stands once: the command line of a daemon is no place for it.
  const command = `mezd identity start --auth-server=${server} --token=<token> --destination-dir=/var/lib/mezite/identity`;
  if (context.output.format !== "table")
    return context.output.record<NewToken & { readonly command: string }>({ identity, token, expiresAt, command }, [
      { key: "name", header: "NAME", value: () => identity.name },
      { key: "roles", header: "ROLES", value: () => identity.roles },
      { key: "token", header: "TOKEN", value: (row) => row.token },
      { key: "expiresAt", header: "EXPIRES", value: (row) => row.expiresAt },
      { key: "command", header: "START WITH", value: (row) => row.command },
    ]);
  context.stdout.write(
    [
      `Agent identity "${identity.name}" ${done}.`,
      `Roles: [${identity.roles.join(", ")}]`,
      `Token: ${token}`,
      "",
      "Start the agent identity daemon with:",
      `  ${command}`,
      "",
      "This token can only be used once.",
      "",
    ].join("\n"),
  );
}

function latest(instances: readonly Instance[]): Instance | undefined {
  return [...instances].sort((left, right) => (right.lastSeen?.getTime() ?? 0) - (left.lastSeen?.getTime() ?? 0))[0];
}

/** One word for all instances: any that is locked needs somebody to look. */
function statusOf({ instances, openTokens }: AgentIdentity): string {
  for (const state of ["locked", "active", "expired"]) {
    if (instances.some((instance) => instance.state === state)) return state;
  }
  return openTokens > 0 ? "waiting" : "unused";
}

const NAME: Column<AgentIdentity> = { key: "name", header: "NAME", value: ({ name }) => name };
const ROLES: Column<AgentIdentity> = { key: "roles", header: "ROLES", value: ({ roles }) => roles, shrink: true };
const STATUS: Column<AgentIdentity> = { key: "status", header: "STATUS", value: statusOf };
const LAST_SEEN: Column<AgentIdentity> = {
  key: "lastSeen",
  header: "LAST SEEN",
  value: ({ instances }) => latest(instances)?.lastSeen ?? null,
};
const INSTANCE_COLUMNS: readonly Column<Instance>[] = [
  { key: "id", header: "INSTANCE", value: ({ id }) => id },
  { key: "state", header: "STATE", value: ({ state }) => state },
  { key: "generation", header: "GENERATION", value: ({ generation }) => generation, align: "right" },
  { key: "certificateSerial", header: "SERIAL", value: ({ certificateSerial }) => certificateSerial },
  { key: "certificateExpiresAt", header: "EXPIRES", value: ({ certificateExpiresAt }) => certificateExpiresAt },
  { key: "lastSeen", header: "LAST SEEN", value: ({ lastSeen }) => lastSeen },
  { key: "address", header: "ADDRESS", value: ({ address }) => address },
  { key: "lockReason", header: "REASON", value: ({ lockReason }) => lockReason, shrink: true },
];
const INSTANCES: Column<AgentIdentity> = {
  key: "instances",
  header: "INSTANCES",
  value: ({ instances }) => instances.map(({ id }) => id),
  json: ({ instances }) =>
    instances.map((instance) => ({
      id: instance.id,
      state: instance.state,
      generation: instance.generation,
      certificate_serial: instance.certificateSerial,
      certificate_expires_at: instance.certificateExpiresAt,
      last_seen: instance.lastSeen,
      address: instance.address,
      lock_reason: instance.lockReason,
    })),
};
