import { hkdfSync } from "node:crypto";
import { MezError } from "../../../core/errors/error.js";
import type { Sealing } from "./api.js";
import type { KeyProtection } from "./key-protection.js";
import { open, seal } from "./sealing.js";

/** Seals under a key of its own that is derived from the data key, so that nothing of it opens a CA key. */
export class DataSealing implements Sealing {
  constructor(private readonly protection: Pick<KeyProtection, "dataKey">) {}

  async seal(plaintext: Buffer, context: string): Promise<string> {
    return seal(await this.#key(), plaintext, context).toString("base64");
  }

  async open(sealed: string, context: string): Promise<Buffer> {
    const plaintext = open(await this.#key(), Buffer.from(sealed, "base64"), context);
    if (plaintext === null) throw new MezError("STORAGE_CORRUPT", "a sealed value cannot be opened: it was changed or damaged");
    return plaintext;
  }

  async #key(): Promise<Buffer> {
    const dataKey = await this.protection.dataKey().catch((cause: unknown) => {
      throw new MezError("KEY_BACKEND_UNAVAILABLE", "the key that protects secrets is out of reach; try again", { cause });
    });
    return Buffer.from(hkdfSync("sha256", dataKey, "", "mezite sealed data v1", 32));
  }
}
