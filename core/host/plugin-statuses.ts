import { PLUGIN_API_VERSION } from "../plugin/contract.js";
import type { PluginStatus } from "../plugin/plugin-host.js";
import { descriptorsOf } from "./declarations.js";
import type { Generations } from "./generations.js";
import type { HostSettings } from "./host-settings.js";
import type { AbsentPackage } from "./package-leniency.js";
import type { Decision } from "./selection.js";

/** How each plugin fares that has a part in this process, in the order of the catalog; then those that are missing. */
export function statusesOf(
  { catalog, absent = [] }: HostSettings,
  decisions: ReadonlyMap<string, Decision>,
  generations: Generations,
): readonly PluginStatus[] {
  const known = [...catalog.values()].flatMap(({ manifest, package: origin = null, health }) => {
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
  return [...known, ...absent.map(statusOfAbsent)];
}

// --- internal ---

/** Its manifest is where its package is: nobody knows. */
function statusOfAbsent({ id, from, integrity, problem }: AbsentPackage): PluginStatus {
  return {
    manifest: {
      id,
      version: "",
      apiVersion: PLUGIN_API_VERSION,
      summary: "its package is not there as it was decided",
      entries: {},
    },
    state: "missing",
    decidedBy: "command",
    leases: 0,
    starts: 0,
    package: { from, integrity, isolation: "none", memoryMib: 0, addedBy: "command", problem },
  };
}

function describes({ contributes }: PluginStatus["manifest"]): boolean {
  return contributes?.commands?.some(({ commands }) => commands !== undefined) === true;
}
