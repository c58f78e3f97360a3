import type { CommandContext } from "../../core/plugin/commands.js";
import { readDocument } from "../../core/plugin/document-file.js";
import { formatDuration } from "../../core/time/duration.js";
import { RoleServiceService } from "../../proto/gen/mezite/roles/v1/roles.js";
import { parseRoleDocument, roleToDocument } from "./role-document.js";
import { fromMessage, toMessage } from "./role-message.js";

/** `mezctl roles create`: the file is checked here, where its lines are known, and again by the server. */
export async function createRole(context: CommandContext, file: string): Promise<void> {
  const role = await parseRoleDocument(await readDocument(context, file), file);
  const client = await context.rpc(RoleServiceService);
  const { created } = await client.putRole({ role: toMessage(role) });
  context.output.note(`role ${role.name} ${created ? "created" : "updated"}`);
}

/** `mezctl roles ls` */
export async function listRoles(context: CommandContext): Promise<void> {
  const { roles } = await (await context.rpc(RoleServiceService)).listRoles({});
  await context.output.rows(
    roles.map((message) => ({ role: fromMessage(message), builtIn: message.builtIn })),
    [
      { key: "name", header: "NAME", value: ({ role }) => role.name },
      {
        key: "nodeLabels",
        header: "NODE LABELS",
        value: ({ role }) => labelText(role.allow.nodeLabels),
        json: ({ role }) => role.allow.nodeLabels,
        shrink: true,
      },
      { key: "logins", header: "LOGINS", value: ({ role }) => role.allow.logins, shrink: true },
      {
        key: "maxSessionTtl",
        header: "MAX TTL",
        value: ({ role }) =>
          role.options.maxSessionTtlSeconds === null ? "" : formatDuration(role.options.maxSessionTtlSeconds),
      },
      { key: "builtIn", header: "BUILT IN", value: ({ builtIn }) => (builtIn ? "yes" : ""), json: ({ builtIn }) => builtIn },
      { key: "description", header: "DESCRIPTION", value: ({ role }) => role.description, shrink: true },
    ],
  );
}

/** `mezctl roles get`: what `roles create --from-file` reads. */
export async function printRole(context: CommandContext, name: string): Promise<void> {
  const document = roleToDocument(fromMessage(await (await context.rpc(RoleServiceService)).getRole({ name })));
  const { stringify } = await import("yaml");
  context.stdout.write(context.output.format === "json" ? `${JSON.stringify(document, null, 2)}\n` : stringify(document));
}

/** `mezctl roles delete` */
export async function deleteRole(context: CommandContext, name: string): Promise<void> {
  await (await context.rpc(RoleServiceService)).deleteRole({ name });
  context.output.note(`role ${name} deleted`);
}

// --- internal ---

function labelText(selector: Readonly<Record<string, readonly string[]>>): string {
  return Object.entries(selector)
    .map(([name, values]) => `${name}=${values.join("|")}`)
    .join(" ");
}
