import { argon2, hkdfSync, randomBytes } from "node:crypto";
import { promisify } from "node:util";
import { MezError } from "../../../core/errors/error.js";
import type { Database } from "../../../core/plugin/database.js";
import type { Secret } from "../../../core/plugin/secret.js";
import { readKeyFile, readOrCreateKeyFile } from "./key-file.js";
import { open, seal } from "./sealing.js";
import { findProtection, insertProtection, type KeyProtectionRow } from "./software-key-repository.js";

/** What opens the data key: a passphrase when there is one, else the file. */
export interface KeyProtectionOptions {
  readonly passphrase: Secret | null;
  /** Absolute path. */
  readonly keyFile: string;
}

/**
 * Guards the data key, a random AES-256 key that seals every private key. The data key itself is kept wrapped, so a
 * wrong passphrase is noticed before anything is written.
 */
export class KeyProtection {
  #dataKey: Promise<Buffer> | null = null;

  constructor(
    private readonly database: Database,
    private readonly options: KeyProtectionOptions,
  ) {}

  /**
   * Opens the data key, and makes it at the very first start.
   * @returns 32 bytes.
   * @throws {MezError} `KEY_PASSPHRASE_INVALID`, `KEY_FILE_INVALID`, `UNAVAILABLE`
   */
  dataKey(): Promise<Buffer> {
    this.#dataKey ??= this.openOrCreate().catch((error: unknown) => {
      this.#dataKey = null;
      throw error;
    });
    return this.#dataKey;
  }

  /** Forgets the data key. */
  close(): void {
    this.#dataKey = null;
  }

  private async openOrCreate(): Promise<Buffer> {
    const existing = await this.database.read(findProtection);
    if (existing !== null) return this.unwrap(existing);
    const method = this.options.passphrase === null ? "key-file" : "passphrase";
    const salt = randomBytes(16);
    const dataKey = randomBytes(32);
    const wrapping =
      method === "key-file" ? fromFile(await readOrCreateKeyFile(this.options.keyFile), salt) : await this.fromPassphrase(salt);
    const stored = await this.database.transaction(async ({ em }) => {
      // Another process may have been faster: its data key counts.
      const faster = await findProtection(em);
      if (faster === null)
        await insertProtection(em, {
          method,
          salt: salt.toString("base64"),
          wrappedKey: seal(wrapping, dataKey, WRAPPING).toString("base64"),
        });
      return faster;
    });
    return stored === null ? dataKey : this.unwrap(stored);
  }

  private async unwrap(row: KeyProtectionRow): Promise<Buffer> {
    const salt = Buffer.from(row.salt, "base64");
    const wrapped = Buffer.from(row.wrappedKey, "base64");
    if (row.method === "passphrase") {
      const dataKey = open(await this.fromPassphrase(salt), wrapped, WRAPPING);
      if (dataKey === null)
        throw new MezError(
          "KEY_PASSPHRASE_INVALID",
          "MEZITE_CA_PASSPHRASE is not the passphrase that protects the CA keys of this cluster; nothing was changed",
        );
      return dataKey;
    }
    const { keyFile, passphrase } = this.options;
    if (row.method !== "key-file")
      throw new MezError("KEY_CORRUPT", `CA keys are protected by "${row.method}", which this release does not know`);
    if (passphrase !== null)
      throw new MezError(
        "KEY_PASSPHRASE_INVALID",
        `the CA keys of this cluster are protected by the key file ${keyFile}, not by a passphrase; unset MEZITE_CA_PASSPHRASE`,
      );
    const secret = await readKeyFile(keyFile);
    if (secret === null)
      throw new MezError(
        "KEY_FILE_INVALID",
        `key file ${keyFile}, which protects the CA keys of this cluster, is missing; restore it from a backup`,
      );
    const dataKey = open(fromFile(secret, salt), wrapped, WRAPPING);
    if (dataKey === null)
      throw new MezError(
        "KEY_FILE_INVALID",
        `key file ${keyFile} is not the one that protects the CA keys of this cluster; restore it from a backup`,
      );
    return dataKey;
  }

  private async fromPassphrase(salt: Buffer): Promise<Buffer> {
    const { passphrase } = this.options;
    if (passphrase === null)
      throw new MezError(
        "KEY_PASSPHRASE_INVALID",
        "the CA keys of this cluster are protected by a passphrase; set MEZITE_CA_PASSPHRASE",
      );
    if (passphrase.expose() === "")
      throw new MezError(
        "KEY_PASSPHRASE_INVALID",
        "the passphrase of the CA keys is empty; set MEZITE_CA_PASSPHRASE, or unset it to use a key file",
      );
    // RFC 9106, 4: the second recommended option, 64 MiB and 3 passes.
    return argon2Async("argon2id", {
      message: passphrase.expose(),
      nonce: salt,
      parallelism: 1,
      memory: 65_536,
      passes: 3,
      tagLength: 32,
    });
  }
}

// --- internal ---

const WRAPPING = "mezite keys.software data key v1";
const argon2Async = promisify(argon2);

function fromFile(secret: Buffer, salt: Buffer): Buffer {
  return Buffer.from(hkdfSync("sha256", secret, salt, WRAPPING, 32));
}
