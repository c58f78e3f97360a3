import { MezError, messageOf } from "../errors/error.js";
import type { StorageDriver } from "../ports/storage-driver.js";

/** A commit that is about to be made. */
export interface ExpectedFlush {
  /** The commit was made. @throws {MezError} `STORAGE_FLUSH_FAILED` */
  flush(): Promise<void>;
  /** It was not. */
  drop(): void;
}

/**
 * Has commits on the disk before anyone is told of them, where the driver leaves that to a `flush`.
 *
 * A flush that fails says nothing about what was committed since the one before, and trying again proves nothing: Linux may have
 * forgotten what it could not write, and then calls the next flush a success (https://wiki.postgresql.org/wiki/Fsync_Errors). So
 * nothing is served from then on. The process has to end, and the next one finds out what is there.
 */
export class DiskFlush {
  readonly #expected = new Set<Promise<void>>();
  #failure: MezError | null = null;

  /** @param onFailed Called once. */
  constructor(
    private readonly driver: Pick<StorageDriver, "flush" | "upkeep">,
    private readonly onFailed: (failure: MezError) => void,
  ) {}

  /** Why nothing is served any more. */
  get failure(): MezError | null {
    return this.#failure;
  }

  /** Called right before a commit is made: whoever has read something from now on waits for its flush. */
  expect(): ExpectedFlush {
    if (this.driver.flush === undefined) return NOTHING_EXPECTED;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#expected.add(promise);
    const drop = (): void => {
      this.#expected.delete(promise);
      resolve();
    };
    return { flush: () => this.#run(() => this.driver.flush?.()).finally(drop), drop };
  }

  /** Has all on the disk that was committed until now. @throws {MezError} `STORAGE_FLUSH_FAILED` */
  now(): Promise<void> {
    return this.expect().flush();
  }

  /** Waits until what was read is on the disk. @throws {MezError} `STORAGE_FLUSH_FAILED` */
  async settled(): Promise<void> {
    if (this.#expected.size > 0) await Promise.all(this.#expected);
    if (this.#failure !== null) throw this.#failure;
  }

  /** Lets the driver do what has to be done between two transactions. @throws {MezError} `STORAGE_FLUSH_FAILED` */
  async upkeep(): Promise<void> {
    if (this.driver.upkeep !== undefined) await this.#run(() => this.driver.upkeep?.());
  }

  async #run(work: () => Promise<void> | undefined): Promise<void> {
    if (this.#failure !== null) throw this.#failure;
    try {
      await work();
    } catch (cause) {
      throw this.#fail(cause);
    }
  }

  #fail(cause: unknown): MezError {
    if (this.#failure !== null) return this.#failure;
    this.#failure = new MezError(
      "STORAGE_FLUSH_FAILED",
      "the disk did not take what was written to the database; the change may have been made: look before you try again",
      { cause, detail: messageOf(cause) },
    );
    this.onFailed(this.#failure);
    return this.#failure;
  }
}

// --- internal ---

const NOTHING_EXPECTED: ExpectedFlush = { async flush() {}, drop() {} };
