import { randomUUID } from "node:crypto";
import { chmodSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { MezError } from "../errors/error.js";
import { systemReason } from "../errors/system-reason.js";
import { parseAuthorities } from "./trust-pin.js";

/**
 * CAs that were accepted for an address, one PEM file each, mode 0600 in a folder of mode 0700: what `known_hosts` is
 * to ssh. Removing a file forgets the CA.
 */
export class KnownAuthorities {
  readonly #folder: string;

  /** @param meziteFolder `~/.mezite`; made when something is remembered. */
  constructor(private readonly meziteFolder: string) {
    this.#folder = join(meziteFolder, "authorities");
  }

  fileFor(address: string): string {
    return join(this.#folder, `${address.toLowerCase().replace(/[^a-z0-9.-]/g, "_")}.pem`);
  }

  /**
   * @returns PEM, `null` when nothing is remembered.
   * @throws {MezError} `INVALID_ARGUMENT` when the file is damaged: then nobody is trusted in its place
   */
  recall(address: string): readonly string[] | null {
    const file = this.fileFor(address);
    let text: string;
    try {
      text = readFileSync(file, "utf8");
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code === "ENOENT") return null;
      throw new MezError("INVALID_ARGUMENT", `${file} cannot be read: ${systemReason(cause)}`, { cause });
    }
    return parseAuthorities(text, file);
  }

  remember(address: string, authoritiesPem: readonly string[]): void {
    for (const folder of [this.meziteFolder, this.#folder]) {
      mkdirSync(folder, { recursive: true, mode: 0o700 });
      chmodSync(folder, 0o700);
    }
    const file = this.fileFor(address);
    const fresh = `${file}.${randomUUID()}`;
    try {
      writeFileSync(fresh, authoritiesPem.map((pem) => `${pem.trimEnd()}\n`).join(""), { mode: 0o600, flag: "wx" });
      renameSync(fresh, file);
    } finally {
      rmSync(fresh, { force: true });
    }
  }
}
