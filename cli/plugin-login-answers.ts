import type { LoginAnswer } from "../core/plugin/login-answer.js";
import type { Manifest } from "../core/plugin/manifest.js";
import { BUILTIN_PLUGINS } from "../plugins/builtin.js";

/** The client side of a login step, from the plugin that implements the step; `null` when no plugin of this build does. */
export async function pluginLoginAnswer(step: string): Promise<LoginAnswer | null> {
  const entry = BUILTIN_PLUGINS.find(({ manifest }) =>
    (manifest as Manifest).implements?.some(({ port, name }) => port === "login-step" && name === step),
  );
  return (await entry?.loginAnswer?.())?.default ?? null;
}
