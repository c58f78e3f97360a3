import { MezError } from "../../core/errors/error.js";
import type { CommandContext } from "../../core/plugin/commands.js";
import { IntegrationServiceService } from "../../proto/gen/mezite/integrations/v1/integrations.js";
import { printPlan } from "./api.js";

/** `mezctl integrations ls` */
export async function listIntegrations(context: CommandContext): Promise<void> {
  const client = await context.rpc(IntegrationServiceService);
  const { integrations } = await client.listIntegrations({}, { signal: context.signal });
  await context.output.rows(integrations, [
    { key: "kind", header: "KIND", value: ({ kind }) => kind },
    { key: "summary", header: "SUMMARY", value: ({ summary }) => summary, shrink: true },
    {
      key: "parameters",
      header: "PARAMETERS",
      value: ({ parameters }) => parameters.map(({ name, required }) => (required ? name : `[${name}]`)),
      json: ({ parameters }) =>
        parameters.map(({ name, description, required, defaultValue }) => ({
          ...{ name, description, required },
          default: defaultValue,
        })),
      shrink: true,
    },
  ]);
}

/** `mezctl integrations plan` */
export async function planIntegration(context: CommandContext, kind: string, set: readonly string[]): Promise<void> {
  const client = await context.rpc(IntegrationServiceService);
  const parameters = parametersOf(set);
  await printPlan(context, await client.planIntegration({ kind, parameters, live: false }, { signal: context.signal }));
}

// --- internal ---

function parametersOf(set: readonly string[]): Record<string, string> {
  const parameters = new Map<string, string>();
  for (const each of set) {
    const [, name = "", value = ""] = /^([^=]+)=([\s\S]*)$/.exec(each) ?? [];
    if (name === "")
      throw new MezError("INVALID_ARGUMENT", `--set=${each.slice(0, 40)} is not <parameter>=<value>, e.g. --set=account=1`);
    if (parameters.has(name)) throw new MezError("INVALID_ARGUMENT", `--set gives ${name.slice(0, 40)} twice`);
    parameters.set(name, value);
  }
  return Object.fromEntries(parameters);
}
