import type { PluginInstance } from "./instance.js";

/** A plugin that the next generation is to have, in start order. */
export interface Wanted {
  readonly id: string;
  readonly digest: string;
  /** Ids of the plugins that it requires. */
  readonly requires: readonly string[];
}

export interface ReloadPlan {
  /** In start order; `null` is an instance to be made. */
  readonly next: readonly { readonly id: string; readonly kept: PluginInstance | null }[];
  /** Instances that leave, in the order in which they are drained and disposed: dependents first. */
  readonly leaving: readonly PluginInstance[];
}

/**
 * Decides what a reload keeps: an instance stays when its digest is the same, it requires the same plugins, and all of
 * those stay. Everything else is made anew, beside the old.
 * @param afresh Ids to be replaced even though nothing changed.
 */
export function planReload(
  current: readonly PluginInstance[],
  wanted: readonly Wanted[],
  afresh: ReadonlySet<string>,
): ReloadPlan {
  const running = new Map(current.map((instance) => [instance.id, instance]));
  const kept = new Map<string, PluginInstance>();
  for (const { id, digest, requires } of wanted) {
    const instance = running.get(id);
    if (instance === undefined || afresh.has(id) || instance.digest !== digest) continue;
    const needed = instance.requires.map((provider) => provider.id).sort();
    if (needed.join() === [...requires].sort().join() && requires.every((provider) => kept.has(provider))) kept.set(id, instance);
  }
  return {
    next: wanted.map(({ id }) => ({ id, kept: kept.get(id) ?? null })),
    leaving: current.filter((instance) => kept.get(instance.id) !== instance).reverse(),
  };
}
