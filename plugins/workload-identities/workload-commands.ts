import type { CommandContext } from "../../core/plugin/commands.js";
import { readDocument } from "../../core/plugin/document-file.js";
import { formatDuration } from "../../core/time/duration.js";
import { WorkloadIdentityServiceService } from "../../proto/gen/mezite/workload_identities/v1/workload_identities.js";
import { parseWorkloadDocument, workloadToDocument } from "./workload-document.js";
import { fromMessage, toMessage } from "./workload-message.js";

/** `mezctl workload-identities create`: the file is checked here, where its lines are known, and again by the server. */
export async function createWorkload(context: CommandContext, file: string): Promise<void> {
  const workload = await parseWorkloadDocument(await readDocument(context, file), file);
  const client = await context.rpc(WorkloadIdentityServiceService);
  const request = { workloadIdentity: toMessage(workload) };
  const { created } = await client.createWorkloadIdentity(request, { signal: context.signal });
  context.output.note(`workload identity ${workload.name} ${created ? "created" : "updated"}`);
}

/** `mezctl workload-identities ls` */
export async function listWorkloads(context: CommandContext): Promise<void> {
  const client = await context.rpc(WorkloadIdentityServiceService);
  const { workloadIdentities } = await client.listWorkloadIdentities({}, { signal: context.signal });
  await context.output.rows(workloadIdentities.map(fromMessage), [
    { key: "name", header: "NAME", value: ({ name }) => name },
    { key: "spiffeId", header: "SPIFFE ID", value: ({ spiffeIdPath }) => spiffeIdPath },
    { key: "agentIdentities", header: "AGENT IDENTITIES", value: ({ agentIdentities }) => agentIdentities, shrink: true },
    {
      key: "nodeLabels",
      header: "NODE LABELS",
      value: ({ nodeLabels }) => listing(nodeLabels),
      json: ({ nodeLabels }) => nodeLabels,
      shrink: true,
    },
    {
      key: "unix",
      header: "PROGRAMS",
      value: ({ unix: { uids, gids, paths, sha256 } }) => listing({ uid: uids, gid: gids, path: paths, sha256 }),
      json: ({ unix: { uids, gids, paths, sha256 } }) => ({ uid: uids, gid: gids, path: paths, sha256 }),
      shrink: true,
    },
    { key: "x509Ttl", header: "X.509 TTL", value: ({ x509TtlSeconds }) => formatDuration(x509TtlSeconds) },
    { key: "jwtTtl", header: "JWT TTL", value: ({ jwtTtlSeconds }) => formatDuration(jwtTtlSeconds) },
    { key: "hint", header: "HINT", value: ({ hint }) => hint },
    { key: "description", header: "DESCRIPTION", value: ({ description }) => description, shrink: true },
  ]);
}

/** `mezctl workload-identities get`: what `create --from-file` reads. */
export async function printWorkload(context: CommandContext, name: string): Promise<void> {
  const client = await context.rpc(WorkloadIdentityServiceService);
  const document = workloadToDocument(fromMessage(await client.getWorkloadIdentity({ name }, { signal: context.signal })));
  const { stringify } = await import("yaml");
  context.stdout.write(context.output.format === "json" ? `${JSON.stringify(document, null, 2)}\n` : stringify(document));
}

/** `mezctl workload-identities rm` */
export async function removeWorkload(context: CommandContext, name: string): Promise<void> {
  const client = await context.rpc(WorkloadIdentityServiceService);
  await client.deleteWorkloadIdentity({ name }, { signal: context.signal });
  context.output.note(`workload identity ${name} removed; its SVIDs are issued and served no more`);
}

// --- internal ---

function listing(lists: Readonly<Record<string, readonly (string | number)[]>>): string {
  return Object.entries(lists)
    .filter(([, values]) => values.length > 0)
    .map(([name, values]) => `${name}=${values.join("|")}`)
    .join(" ");
}
