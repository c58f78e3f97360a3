import { createPrivateKey, generateKeyPair, type KeyObject, randomUUID, sign } from "node:crypto";
import { promisify } from "node:util";
import { isMezError, MezError } from "../../../core/errors/error.js";
import type { Database } from "../../../core/plugin/database.js";
import type { BackendKey, KeyAlgorithm, KeyBackend } from "../../../core/ports/key-backend.js";
import type { Clock } from "../../../core/time/clock.js";
import type { KeyProtection } from "./key-protection.js";
import { open, seal } from "./sealing.js";
import { deleteKey, findKey, insertKey } from "./software-key-repository.js";

/** Keeps private keys sealed in the database, and opened ones in memory. A handle is a UUID. */
export class SoftwareKeyBackend implements KeyBackend {
  readonly signsInProcess = true;
  readonly #opened = new Map<string, OpenedKey>();

  constructor(
    private readonly database: Database,
    private readonly protection: KeyProtection,
    private readonly clock: Clock,
  ) {}

  async generate(algorithm: KeyAlgorithm): Promise<BackendKey> {
    const dataKey = await this.protection.dataKey();
    const { privateKey, publicKey } =
      algorithm === "ed25519" ? await generatePair("ed25519") : await generatePair("ec", { namedCurve: "P-256" });
    const handle = randomUUID();
    const sealedKey = seal(dataKey, privateKey.export({ format: "der", type: "pkcs8" }), contextOf(handle, algorithm)).toString(
      "base64",
    );
    await this.database.transaction(({ em }) => insertKey(em, { handle, algorithm, sealedKey, createdAt: this.clock.now() }));
    this.#opened.set(handle, { algorithm, privateKey });
    return { handle, algorithm, publicKeyDer: publicKey.export({ format: "der", type: "spki" }) };
  }

  async sign(handle: string, data: Buffer): Promise<Buffer> {
    const { algorithm, privateKey } = this.#opened.get(handle) ?? (await this.openKey(handle));
    return algorithm === "ed25519"
      ? sign(null, data, privateKey)
      : sign("sha256", data, { key: privateKey, dsaEncoding: "ieee-p1363" });
  }

  async destroy(handle: string): Promise<void> {
    await this.database.transaction(({ em }) => deleteKey(em, handle));
    this.#opened.delete(handle);
  }

  /** Forgets the opened keys. */
  close(): void {
    this.#opened.clear();
  }

  private async openKey(handle: string): Promise<OpenedKey> {
    const row = await this.database.read((em) => findKey(em, handle)).catch(unavailable);
    if (row === null) throw new MezError("NOT_FOUND", `key ${handle} is unknown`);
    const dataKey = await this.protection.dataKey().catch(unavailable);
    const pkcs8 = open(dataKey, Buffer.from(row.sealedKey, "base64"), contextOf(handle, row.algorithm));
    if (pkcs8 === null || !isAlgorithm(row.algorithm))
      throw new MezError("KEY_CORRUPT", `key ${handle} cannot be opened: its row was changed or damaged`);
    const opened = { algorithm: row.algorithm, privateKey: createPrivateKey({ key: pkcs8, format: "der", type: "pkcs8" }) };
    pkcs8.fill(0);
    this.#opened.set(handle, opened);
    return opened;
  }
}

// --- internal ---

interface OpenedKey {
  readonly algorithm: KeyAlgorithm;
  readonly privateKey: KeyObject;
}

const generatePair = promisify(generateKeyPair);

function isAlgorithm(word: string): word is KeyAlgorithm {
  return word === "ed25519" || word === "ecdsa-p256";
}

/** Binds a sealed key to its row: it cannot be moved under another handle or called another algorithm. */
function contextOf(handle: string, algorithm: string): string {
  return `mezite keys.software ${handle} ${algorithm}`;
}

function unavailable(cause: unknown): never {
  if (isMezError(cause) && cause.code !== "UNAVAILABLE") throw cause;
  throw new MezError("KEY_BACKEND_UNAVAILABLE", "the CA keys are out of reach; try again", { cause });
}
