import { createHash } from "node:crypto";
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { AnsweredMemory } from "../core/plugin/dialer.js";
import { writePrivateFileAt } from "./msh/private-folder.js";

/**
 * Which of several addresses answered last, in `~/.mezite/answered/`: a file of mode 0600 for each list of addresses, and none while
 * the first one answers. Only ever one of the list, so that nobody is asked whom the person did not name; and only a convenience: what
 * cannot be read or written is not remembered.
 */
export class AnsweredAddress implements AnsweredMemory {
  readonly #file: string;
  #last: string | null | undefined;

  /** @param meziteFolder `~/.mezite` @param addresses In the order in which they are tried. */
  constructor(
    meziteFolder: string,
    private readonly addresses: readonly string[],
  ) {
    const key = createHash("sha256").update(addresses.join()).digest("hex");
    this.#file = join(meziteFolder, "answered", key.slice(0, 32));
  }

  last(): string | null {
    if (this.addresses.length < 2) return null;
    this.#last ??= this.#read();
    return this.#last;
  }

  note(address: string): void {
    if (!this.addresses.includes(address) || address === (this.last() ?? this.addresses[0])) return;
    this.#last = address;
    try {
      if (address === this.addresses[0]) rmSync(this.#file, { force: true });
      else writePrivateFileAt(this.#file, `${address}\n`);
    } catch {
      // The next run asks in order.
    }
  }

  #read(): string | null {
    try {
      const address = readFileSync(this.#file, "utf8").trimEnd();
      return this.addresses.includes(address) ? address : null;
    } catch {
      return null;
    }
  }
}
