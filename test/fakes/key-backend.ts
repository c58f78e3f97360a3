import { generateKeyPairSync, type KeyObject, randomUUID, sign } from "node:crypto";
import type { ErrorCode } from "../../core/errors/codes.js";
import { MezError } from "../../core/errors/error.js";
import type { BackendKey, KeyAlgorithm, KeyBackend } from "../../core/ports/key-backend.js";

export interface FakeKeyBackendOptions {
  /** The next call of `sign` fails with this code; those after it work. */
  readonly failNextSign?: ErrorCode;
}

/** A key backend that works, keeps its keys in memory and can be told to fail. */
export class FakeKeyBackend implements KeyBackend {
  readonly #keys = new Map<string, { readonly algorithm: KeyAlgorithm; readonly privateKey: KeyObject }>();
  #failNextSign: ErrorCode | null;
  #corruptNextSign = false;
  #duringNextSign: (() => Promise<unknown>) | null = null;

  constructor(options: FakeKeyBackendOptions = {}) {
    this.#failNextSign = options.failNextSign ?? null;
  }

  /** How many keys it holds. */
  get size(): number {
    return this.#keys.size;
  }

  failNextSign(code: ErrorCode): void {
    this.#failNextSign = code;
  }

  /** What happens while the next signature is made. */
  duringNextSign(work: () => Promise<unknown>): void {
    this.#duringNextSign = work;
  }

  /** The next signature is wrong in one bit. */
  corruptNextSign(): void {
    this.#corruptNextSign = true;
  }

  async generate(algorithm: KeyAlgorithm): Promise<BackendKey> {
    const { privateKey, publicKey } =
      algorithm === "ed25519" ? generateKeyPairSync("ed25519") : generateKeyPairSync("ec", { namedCurve: "P-256" });
    const handle = randomUUID();
    this.#keys.set(handle, { algorithm, privateKey });
    return { handle, algorithm, publicKeyDer: publicKey.export({ format: "der", type: "spki" }) };
  }

  async sign(handle: string, data: Buffer): Promise<Buffer> {
    const code = this.#failNextSign;
    this.#failNextSign = null;
    if (code !== null) throw new MezError(code, "the fake key backend was told to fail");
    const during = this.#duringNextSign;
    this.#duringNextSign = null;
    await during?.();
    const key = this.#keys.get(handle);
    if (key === undefined) throw new MezError("NOT_FOUND", `key ${handle} is unknown`);
    const signature =
      key.algorithm === "ed25519"
        ? sign(null, data, key.privateKey)
        : sign("sha256", data, { key: key.privateKey, dsaEncoding: "ieee-p1363" });
    if (this.#corruptNextSign) signature[20] = (signature[20] ?? 0) ^ 1;
    this.#corruptNextSign = false;
    return signature;
  }

  async destroy(handle: string): Promise<void> {
    this.#keys.delete(handle);
  }
}
