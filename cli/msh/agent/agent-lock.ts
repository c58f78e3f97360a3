import { randomBytes, scrypt, timingSafeEqual } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { promisify } from "node:util";

/** Locks an agent with a passphrase, as `ssh-add -x` and `-X` do. Wrong passphrases cost more time each. */
export class AgentLock {
  readonly #salt = randomBytes(16);
  #digest: Buffer | null = null;
  #failures = 0;
  /** One attempt after the other, so that several at once do not get around the wait. */
  #attempts: Promise<unknown> = Promise.resolve();

  /** @param waitMs After the first wrong passphrase; doubled with each further one, up to 10 seconds. */
  constructor(private readonly waitMs = 100) {}

  get isLocked(): boolean {
    return this.#digest !== null;
  }

  /** `false` when it is locked already. */
  lock(passphrase: Buffer): Promise<boolean> {
    return this.#oneByOne(async () => {
      if (this.isLocked) return false;
      this.#digest = await this.#digestOf(passphrase);
      return true;
    });
  }

  /** `false` when the passphrase is wrong, or nothing is locked. */
  unlock(passphrase: Buffer): Promise<boolean> {
    return this.#oneByOne(async () => {
      if (this.#digest === null) return false;
      const isRight = timingSafeEqual(await this.#digestOf(passphrase), this.#digest);
      if (isRight) {
        this.#digest = null;
        this.#failures = 0;
      } else {
        await delay(Math.min(this.waitMs * 2 ** this.#failures++, MAX_WAIT_MS));
      }
      return isRight;
    });
  }

  #oneByOne(attempt: () => Promise<boolean>): Promise<boolean> {
    const result = this.#attempts.then(attempt);
    this.#attempts = result.catch(() => undefined);
    return result;
  }

  #digestOf(passphrase: Buffer): Promise<Buffer> {
    return promisify<Buffer, Buffer, number, Buffer>(scrypt)(passphrase, this.#salt, 32);
  }
}

// --- internal ---

const MAX_WAIT_MS = 10_000;
