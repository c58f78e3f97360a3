import type { Commands } from "../plugin/commands.js";
import type { Plugin } from "../plugin/contract.js";

/** The plugin that a module exports by default, or is, as CommonJS and what compiles to it have it; `null` when there is none. */
export function exportedPlugin(module: unknown): Plugin<never> | null {
  const found = candidates(module).find((each) => typeof (each as Plugin<never> | null | undefined)?.register === "function");
  return (found as Plugin<never> | undefined) ?? null;
}

/** The same for commands of `mezctl`. */
export function exportedCommands(module: unknown): Commands | null {
  const found = candidates(module).find((each) => Array.isArray((each as Commands | null | undefined)?.mezctl));
  return (found as Commands | undefined) ?? null;
}

// --- internal ---

function candidates(module: unknown): readonly unknown[] {
  const outer = (module as { default?: unknown } | null)?.default;
  const inner = (outer as { default?: unknown } | null | undefined)?.default;
  return [inner, outer, module];
}
