import { messageOf } from "../../core/errors/error.js";
import type { Lifecycle } from "../../core/plugin/contract.js";
import type { Database } from "../../core/plugin/database.js";
import type { Duties } from "../../core/plugin/duties.js";
import type { Logger } from "../../core/plugin/logger.js";
import type { RecordingStore } from "../../core/ports/recording-store.js";
import { listUnread, markRead } from "./recording-repository.js";
import { textOf } from "./recording-text.js";
import { packed, replaceText } from "./recording-text-repository.js";

export interface RecordingTextIndexParts {
  readonly database: Database;
  readonly store: RecordingStore;
  readonly logger: Logger;
  /** Of several servers one reads. */
  readonly duties: Duties;
  /** How often what could not be read is tried again. Default 5 minutes. */
  readonly retryMs?: number;
  /** Of the text of one recording. Default 64 Mi. */
  readonly maxTextCharacters?: number;
}

/**
 * Keeps the text of recordings that have ended beside what is known of them, so that a search need not read them all; one
 * after the other, behind everything else. A recording that has not had its turn is searched where it lies.
 */
export class RecordingTextIndex implements Lifecycle {
  #running: Promise<void> = Promise.resolve();
  #isWaiting = false;
  #isDisposed = false;
  #retry: NodeJS.Timeout | null = null;
  /** Ids of those that could not be read lately. */
  #failed: string[] = [];

  constructor(private readonly parts: RecordingTextIndexParts) {}

  async start(): Promise<void> {
    this.#retry = setInterval(() => {
      this.#failed = [];
      this.wake();
    }, this.parts.retryMs ?? 300_000).unref();
    this.wake();
  }

  async dispose(): Promise<void> {
    this.#isDisposed = true;
    if (this.#retry !== null) clearInterval(this.#retry);
    await this.#running;
  }

  /** Says that a recording has ended. */
  wake(): void {
    if (this.#isWaiting || this.#isDisposed) return;
    this.#isWaiting = true;
    this.#running = this.#running.then(() => {
      this.#isWaiting = false;
      return this.#run();
    });
  }

  /** Resolves when everything that had ended before the call had its turn. */
  idle(): Promise<void> {
    return this.#running;
  }

  async #run(): Promise<void> {
    const { database, duties, logger } = this.parts;
    try {
      while (await duties.have("index text")) {
        const ids = await database.read((em) => listUnread(em, this.#failed, BATCH));
        for (const id of ids) {
          if (this.#isDisposed || this.#failed.length >= MAX_FAILED) return;
          await this.#add(id);
        }
        if (ids.length < BATCH) return;
      }
    } catch (error) {
      logger.error("the text of recordings could not be kept for searches", { error: messageOf(error) });
    }
  }

  async #add(id: string): Promise<void> {
    const { database, store, logger, maxTextCharacters = 64 * 1024 * 1024 } = this.parts;
    const parts: Buffer[] = [];
    try {
      let characters = 0;
      if ((await store.size(id)) > 0) {
        for await (const text of textOf(await store.read(id))) {
          characters += text.length;
          if (characters > maxTextCharacters) return await database.transaction((tx) => markRead(tx.em, id, "left out"));
          parts.push(await packed(text));
          if (this.#isDisposed) return;
        }
      }
    } catch (error) {
      this.#failed.push(id);
      logger.warn("a recording could not be read for searches; trying again later", { id, error: messageOf(error) });
      return;
    }
    await database.transaction(async (tx) => {
      await replaceText(tx.em, id, parts);
      await markRead(tx.em, id, "stored");
    });
  }
}

// --- internal ---

const BATCH = 20;
/** So many at once is not a matter of single recordings: the place where they are kept is away. */
const MAX_FAILED = 20;
