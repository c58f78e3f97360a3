import type { Plugin } from "../plugin/contract.js";

/** The plugin that a module exports by default, or is, as CommonJS and what compiles to it have it; `null` when there is none. */
export function exportedPlugin(module: unknown): Plugin<never> | null {
  const outer = (module as { default?: unknown } | null)?.default;
  const inner = (outer as { default?: unknown } | null | undefined)?.default;
  const found = [inner, outer, module].find((each) => typeof (each as Plugin<never> | null | undefined)?.register === "function");
  return (found as Plugin<never> | undefined) ?? null;
}
