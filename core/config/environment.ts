import { MezError } from "../errors/error.js";
import { setValue, type ValueOrigins } from "./value-origin.js";

/** The part of JSON Schema that the configuration is described with. */
export interface ConfigSchema {
  readonly type?: string;
  readonly properties?: Readonly<Record<string, ConfigSchema>>;
  readonly enum?: readonly unknown[];
}

/**
 * Lays `MEZITE_…` variables over a configuration: a value at `database.path` is set by `MEZITE_DATABASE_PATH`, one at
 * `plugins.recording.local.config.directory` by `MEZITE_PLUGINS_RECORDING_LOCAL_DIRECTORY`. Lists are separated by commas.
 * Only values that the schema knows have a variable, so nothing can be set by a misspelt one; the command line's own
 * variables (MEZITE_AUTH_TOKEN …) are not looked at.
 * @param origins Learns which variable each value came from.
 * @throws {MezError} `CONFIG_INVALID` for a number or boolean that is none.
 */
export function applyEnvironment(
  config: Record<string, unknown>,
  schema: ConfigSchema,
  env: Readonly<Record<string, string | undefined>>,
  origins: ValueOrigins,
): void {
  for (const { path, variable, leaf } of leaves(schema, [])) {
    const text = env[variable];
    if (text === undefined) continue;
    setValue(config, path, convert(text, leaf, variable));
    origins.note(path, variable);
  }
}

// --- internal ---

function* leaves(
  schema: ConfigSchema,
  path: readonly string[],
): Iterable<{ path: readonly string[]; variable: string; leaf: ConfigSchema }> {
  for (const [key, child] of Object.entries(schema.properties ?? {})) {
    const here = [...path, key];
    if (child.type === "object") yield* leaves(child, here);
    else yield { path: here, variable: variableOf(here), leaf: child };
  }
}

function variableOf(path: readonly string[]): string {
  const words = path[0] === "plugins" ? path.filter((word, index) => !(index === 2 && word === "config")) : path;
  return `MEZITE_${words.join("_").replaceAll(/[.-]/g, "_").toUpperCase()}`;
}

function convert(text: string, leaf: ConfigSchema, variable: string): unknown {
  if (leaf.type === "boolean") {
    if (text === "true" || text === "false") return text === "true";
    throw new MezError("CONFIG_INVALID", `${variable} is "${text.slice(0, 40)}"; write true or false`);
  }
  if (leaf.type === "integer" || leaf.type === "number") {
    if (/^-?\d+(\.\d+)?$/.test(text)) return Number(text);
    throw new MezError("CONFIG_INVALID", `${variable} is "${text.slice(0, 40)}"; write a number`);
  }
  if (leaf.type === "array") return text.split(",").map((item) => item.trim());
  return text;
}
