import type { PluginStatus } from "../plugin/plugin-host.js";
import type { Catalog } from "./catalog.js";
import { descriptorsOf } from "./declarations.js";
import type { Generations } from "./generations.js";
import type { Decision } from "./selection.js";

/** How each plugin fares that has a part in this process, in the order of the catalog. */
export function statusesOf(
  catalog: Catalog,
  decisions: ReadonlyMap<string, Decision>,
  generations: Generations,
): readonly PluginStatus[] {
  return [...catalog.values()].flatMap(({ manifest, package: origin = null, health }) => {
    const decision = decisions.get(manifest.id);
    if (decision === undefined) return [];
    const instance = generations.current.get(manifest.id);
    const isDraining = generations.isLeaving(manifest.id);
    return [
      {
        manifest,
        state: instance !== undefined ? ("on" as const) : isDraining ? ("draining" as const) : ("off" as const),
        decidedBy: decision.decidedBy,
        leases: instance?.leases ?? 0,
        starts: generations.startsOf(manifest.id),
        descriptors: describes(manifest) && instance !== undefined ? descriptorsOf(instance.declarations) : [],
        package: origin,
        health: instance === undefined ? null : (health?.() ?? null),
      },
    ];
  });
}

// --- internal ---

function describes({ contributes }: PluginStatus["manifest"]): boolean {
  return contributes?.commands?.some(({ commands }) => commands !== undefined) === true;
}
