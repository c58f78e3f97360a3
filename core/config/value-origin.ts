/** A value that the command line lays over the config file. */
export interface LaidValue {
  /** Where the value stands in the file, e.g. `["auth", "addresses"]`. */
  readonly path: readonly string[];
  /** `undefined` when the flag was not given. */
  readonly value: unknown;
  /** What the value is called in messages, e.g. `--auth-server`. */
  readonly flag: string;
}

/** Remembers which values of a configuration came from a variable or a flag, so that messages can name it. */
export class ValueOrigins {
  readonly #names = new Map<string, string>();

  /** Notes that the value at `path` is that of a variable or flag; the last one counts. */
  note(path: readonly string[], name: string): void {
    this.#names.set(path.join("\n"), name);
  }

  /** The variable or flag behind the value at `path`, or behind what holds it; `null` when that is the file or a default. */
  of(path: readonly (string | number)[]): string | null {
    for (let depth = path.length; depth > 0; depth--) {
      const name = this.#names.get(path.slice(0, depth).join("\n"));
      if (name !== undefined) return name;
    }
    return null;
  }
}

/** Puts the values that were given where they stand in the configuration. */
export function layOver(config: Record<string, unknown>, laid: readonly LaidValue[], origins: ValueOrigins): void {
  for (const { path, value, flag } of laid) {
    if (value === undefined) continue;
    setValue(config, path, value);
    origins.note(path, flag);
  }
}

/** Sets a value at a path, and makes the mappings above it that are not there. */
export function setValue(config: Record<string, unknown>, path: readonly string[], value: unknown): void {
  let place = config;
  for (const key of path.slice(0, -1)) {
    place[key] ??= {};
    place = place[key] as Record<string, unknown>;
  }
  place[path.at(-1) as string] = value;
}
