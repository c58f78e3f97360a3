import { randomUUID } from "node:crypto";
import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DescribePluginsResponse } from "../proto/gen/mezite/plugin_catalog/v1/plugin_catalog.js";
import { DESCRIPTIONS_FOLDER } from "./foreign-commands.js";

/**
 * What one server said of its plugins, in `~/.mezite/plugins/`: one file for each address, mode 0600. Only a convenience: what cannot
 * be read is asked for again, and what cannot be written is not kept.
 */
export class DescriptionCache {
  readonly #folder: string;
  readonly #file: string;

  /** @param meziteFolder `~/.mezite` @param address `host:port` of the auth service. */
  constructor(meziteFolder: string, address: string) {
    this.#folder = join(meziteFolder, DESCRIPTIONS_FOLDER);
    this.#file = join(this.#folder, `${address.toLowerCase().replace(/[^a-z0-9.-]/g, "_")}.bin`);
  }

  /** `null` when nothing is kept, or nothing that can be read. */
  read(): DescribePluginsResponse | null {
    try {
      return DescribePluginsResponse.decode(readFileSync(this.#file));
    } catch {
      return null;
    }
  }

  write(answer: DescribePluginsResponse): void {
    const fresh = `${this.#file}.${randomUUID()}`;
    try {
      mkdirSync(this.#folder, { recursive: true, mode: 0o700 });
      writeFileSync(fresh, DescribePluginsResponse.encode(answer).finish(), { mode: 0o600, flag: "wx" });
      renameSync(fresh, this.#file);
    } catch {
      // The next run asks again.
    }
  }
}
