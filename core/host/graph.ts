import { MezError } from "../errors/error.js";
import type { ProcessRole } from "../plugin/contract.js";
import { activeIn, type Manifest } from "../plugin/manifest.js";

/** How many may fill each port; a port that is not named here is unknown. */
export type PortCardinalities = ReadonlyMap<string, "exactly-one" | "at-least-one" | "zero-or-more">;

/**
 * The plugins to start, providers before those who require them, and before those who look them up late unless they require
 * these in turn; ties in the order given.
 */
export interface Graph {
  readonly order: readonly string[];
  /** Plugin -> the plugins whose services or port implementations it requires, sorted. */
  readonly requires: ReadonlyMap<string, readonly string[]>;
}

/**
 * Orders plugins by what they require and provide in a process with `roles`.
 * @throws {MezError} `PLUGIN_GRAPH_INVALID` for a missing provider, two providers, a cycle, or a port filled too often
 * or not at all.
 */
export function orderPlugins(manifests: readonly Manifest[], roles: ReadonlySet<ProcessRole>, ports: PortCardinalities): Graph {
  const providers = collectProviders(manifests, roles);
  const implementers = collectImplementers(manifests, roles, ports);
  const requires = new Map<string, readonly string[]>();
  const lookedUpLate: (readonly [user: string, provider: string])[] = [];
  for (const manifest of manifests) {
    const needed = new Set<string>();
    for (const { service, version, optional, late } of activeIn(manifest.requires, roles)) {
      if (late === true) {
        const found = ports.has(service) ? implementers.get(service) : providers.get(`${service}@${version}`);
        for (const id of [found ?? []].flat()) lookedUpLate.push([manifest.id, id]);
        continue;
      }
      const port = ports.get(service);
      if (port !== undefined) {
        for (const id of implementers.get(service) ?? []) needed.add(id);
        continue;
      }
      const provider = providers.get(`${service}@${version}`);
      if (provider !== undefined) needed.add(provider);
      else if (optional !== true)
        throw invalid(
          `plugin "${manifest.id}" requires service "${service}" version ${version}, which no enabled plugin provides`,
        );
    }
    needed.delete(manifest.id);
    requires.set(manifest.id, [...needed].sort());
  }
  const ids = manifests.map(({ id }) => id);
  sortByDependency(ids, requires); // Circles are found here: what follows walks the graph.
  return { order: sortByDependency(ids, startsAfter(requires, lookedUpLate)), requires };
}

// --- internal ---

function collectProviders(manifests: readonly Manifest[], roles: ReadonlySet<ProcessRole>): ReadonlyMap<string, string> {
  const providers = new Map<string, string>();
  for (const manifest of manifests) {
    for (const { service, version } of activeIn(manifest.provides, roles)) {
      const other = providers.get(`${service}@${version}`);
      if (other !== undefined)
        throw invalid(`service "${service}" version ${version} is provided by both "${other}" and "${manifest.id}"`);
      providers.set(`${service}@${version}`, manifest.id);
    }
  }
  return providers;
}

function collectImplementers(
  manifests: readonly Manifest[],
  roles: ReadonlySet<ProcessRole>,
  ports: PortCardinalities,
): ReadonlyMap<string, readonly string[]> {
  const byPort = new Map<string, string[]>();
  for (const manifest of manifests) {
    for (const { port, name } of activeIn(manifest.implements, roles)) {
      const cardinality = ports.get(port);
      if (cardinality === undefined) throw invalid(`plugin "${manifest.id}" fills unknown port "${port}"`);
      const others = byPort.get(port) ?? [];
      if (cardinality === "exactly-one" && others.length > 0) {
        throw invalid(`port "${port}" takes one plugin; "${others[0]}" and "${manifest.id}" (${name}) are both enabled`);
      }
      byPort.set(port, [...others, manifest.id]);
    }
  }
  for (const manifest of manifests) {
    for (const { service, optional } of activeIn(manifest.requires, roles)) {
      const cardinality = ports.get(service);
      if (cardinality === undefined || cardinality === "zero-or-more" || optional === true || byPort.has(service)) continue;
      throw invalid(`plugin "${manifest.id}" requires port "${service}", which no enabled plugin fills`);
    }
  }
  return byPort;
}

/** What starts before each plugin: what it requires, and what it looks up late where that makes no circle. */
function startsAfter(
  requires: ReadonlyMap<string, readonly string[]>,
  lookedUpLate: readonly (readonly [user: string, provider: string])[],
): ReadonlyMap<string, readonly string[]> {
  const earlier = new Map(requires);
  const isBehind = (id: string, other: string, seen: Set<string> = new Set()): boolean => {
    if (id === other) return true;
    if (seen.has(id)) return false;
    seen.add(id);
    return (earlier.get(id) ?? []).some((needed) => isBehind(needed, other, seen));
  };
  for (const [user, provider] of lookedUpLate) {
    if (!isBehind(provider, user)) earlier.set(user, [...(earlier.get(user) ?? []), provider]);
  }
  return earlier;
}

function sortByDependency(ids: readonly string[], requires: ReadonlyMap<string, readonly string[]>): readonly string[] {
  const order: string[] = [];
  const state = new Map<string, "open" | "done">();
  const visit = (id: string, path: readonly string[]): void => {
    if (state.get(id) === "done") return;
    if (state.get(id) === "open")
      throw invalid(`plugins require each other in a circle: ${[...path.slice(path.indexOf(id)), id].join(" -> ")}`);
    state.set(id, "open");
    for (const needed of requires.get(id) ?? []) visit(needed, [...path, id]);
    state.set(id, "done");
    order.push(id);
  };
  for (const id of ids) visit(id, []);
  return order;
}

function invalid(why: string): MezError {
  return new MezError("PLUGIN_GRAPH_INVALID", why);
}
