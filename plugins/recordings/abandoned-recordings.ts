import { messageOf } from "../../core/errors/error.js";
import type { Lifecycle } from "../../core/plugin/contract.js";
import type { Database } from "../../core/plugin/database.js";
import type { Duties } from "../../core/plugin/duties.js";
import type { Logger } from "../../core/plugin/logger.js";
import type { Clock } from "../../core/time/clock.js";
import type { NodeInventory } from "../nodes/api.js";
import type { Recording } from "./recording.js";
import { listGrowing } from "./recording-repository.js";
import type { RecordingService } from "./recording-service.js";

export interface AbandonedRecordingsParts {
  readonly database: Database;
  readonly recordings: Pick<RecordingService, "abandon">;
  readonly inventory: Pick<NodeInventory, "signs">;
  readonly clock: Clock;
  /** Of several servers one looks. */
  readonly duties: Duties;
  readonly logger: Logger;
}

/**
 * Ends recordings that grow for ever, because their node or proxy gives no sign of life any more, is deleted, or has joined anew. Looks once
 * an hour, and not right after a start: while no auth server ran, nobody could give a sign.
 */
export class AbandonedRecordings implements Lifecycle {
  #timer: NodeJS.Timeout | null = null;
  #looking: Promise<void> = Promise.resolve();
  #isDisposed = false;

  constructor(private readonly parts: AbandonedRecordingsParts) {}

  async start(): Promise<void> {
    this.#timer = setInterval(() => {
      this.#looking = this.#looking.then(() => this.look());
    }, LOOK_MS).unref();
  }

  async dispose(): Promise<void> {
    this.#isDisposed = true;
    if (this.#timer !== null) clearInterval(this.#timer);
    await this.#looking;
  }

  /** Ends those whose time has come. What fails is logged, and tried again with the next look. */
  async look(): Promise<void> {
    const { database, recordings, clock, duties, logger } = this.parts;
    try {
      if (!(await duties.have("end abandoned recordings"))) return;
      const before = new Date(clock.now().getTime() - SILENCE_MS);
      for (let after = ""; ; ) {
        const page = await database.read((em) => listGrowing(em, before, after, PAGE));
        for (const recording of page) {
          if (this.#isDisposed) return;
          const heardAt = this.#heardAt(recording);
          if (heardAt < before)
            await recordings
              .abandon(recording, heardAt)
              .catch((error: unknown) =>
                logger.warn("a recording could not be ended; trying again later", { id: recording.id, error: messageOf(error) }),
              );
        }
        const last = page.at(-1);
        if (last === undefined || page.length < PAGE) return;
        after = last.id;
      }
    } catch (error) {
      logger.warn("abandoned recordings could not be looked for", { error: messageOf(error) });
    }
  }

  /** When the process that makes a recording was last heard of. */
  #heardAt({ recorder, startedAt }: Recording): Date {
    const [role, name] = recorder.split(":") as ["node" | "proxy", string];
    const signs = this.parts.inventory.signs(role, name);
    if (signs === null) return startedAt;
    // One that joined later has the name, and may have nothing else of the one that records.
    if (signs.joinedAt > startedAt || signs.lastSeen === null) return signs.joinedAt;
    return signs.lastSeen;
  }
}

// --- internal ---

const SILENCE_MS = 86_400_000; // docs/recordings.md, "On the way"
const LOOK_MS = 3_600_000;
const PAGE = 100;
