import { MezError } from "../errors/error.js";
import { activeIn } from "../plugin/manifest.js";
import type { Generation } from "./generation.js";
import type { PluginInstance } from "./instance.js";

/**
 * @param verb What is to be done with those that require it, for the message.
 * @throws {MezError} `PLUGIN_REQUIRED` naming who cannot do without a plugin
 */
export function refuseWhileRequired({ instances }: Generation, id: string, verb: "disable" | "remove"): void {
  const users = instances.filter((instance) => cannotDoWithout(instance, id));
  if (users.length === 0) return;
  const names = users.map((user) => `"${user.id}"`).join(", ");
  throw new MezError("PLUGIN_REQUIRED", `plugin "${id}" is required by ${names}; ${verb} that first`);
}

// --- internal ---

/** Whether `instance` requires a service or port of plugin `id`, and not just as an optional or late one. */
function cannotDoWithout(instance: PluginInstance, id: string): boolean {
  const provider = instance.requires.find((needed) => needed.id === id);
  if (provider === undefined) return false;
  const { services, implementations } = provider.declarations;
  const offered = new Set([...services.map(({ token }) => token.id), ...implementations.map(({ port }) => port.id)]);
  return activeIn(instance.manifest.requires, instance.roles).some(
    ({ service, optional, late }) => optional !== true && late !== true && offered.has(service),
  );
}
