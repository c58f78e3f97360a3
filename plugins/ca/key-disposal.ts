import { messageOf } from "../../core/errors/error.js";
import type { Lifecycle } from "../../core/plugin/contract.js";
import type { Database } from "../../core/plugin/database.js";
import type { Logger } from "../../core/plugin/logger.js";
import type { KeyBackend } from "../../core/ports/key-backend.js";
import { deleteKey, findRetiredKeys } from "./authority-repository.js";

const RETRY_MS = 60_000;

export interface KeyDisposalParts {
  readonly database: Database;
  readonly logger: Logger;
  readonly backendOf: (name: string) => KeyBackend;
}

/** Destroys the private keys that rotations have retired. What fails is tried again, also after a restart. */
export class KeyDisposal implements Lifecycle {
  #running: Promise<void> = Promise.resolve();
  #retry: NodeJS.Timeout | null = null;
  #isDisposed = false;

  constructor(private readonly parts: KeyDisposalParts) {}

  async start(): Promise<void> {
    await this.run();
  }

  async dispose(): Promise<void> {
    this.#isDisposed = true;
    if (this.#retry !== null) clearTimeout(this.#retry);
    await this.#running;
  }

  /** Resolves when every retired key is gone, or a failure was logged. */
  run(): Promise<void> {
    this.#running = this.#running.then(() => this.#destroyAll());
    return this.#running;
  }

  async #destroyAll(): Promise<void> {
    const { database, logger, backendOf } = this.parts;
    try {
      for (const { id, backend, handle, authority, generation, usage } of await database.read(findRetiredKeys)) {
        await backendOf(backend).destroy(handle);
        await database.transaction(({ em }) => deleteKey(em, id));
        logger.info("destroyed a private key of a CA", { authority, generation, usage });
      }
    } catch (error) {
      logger.error("a retired CA key could not be destroyed; trying again in a minute", { error: messageOf(error) });
      if (this.#isDisposed) return;
      if (this.#retry !== null) clearTimeout(this.#retry);
      this.#retry = setTimeout(() => void this.run(), RETRY_MS);
      this.#retry.unref();
    }
  }
}
