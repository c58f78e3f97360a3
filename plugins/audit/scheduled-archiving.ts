import { MezError, messageOf } from "../../core/errors/error.js";
import type { Lifecycle } from "../../core/plugin/contract.js";
import type { Database } from "../../core/plugin/database.js";
import type { Logger } from "../../core/plugin/logger.js";
import type { Clock } from "../../core/time/clock.js";
import { parseDuration } from "../../core/time/duration.js";
import { claimTurn, repeatTurn } from "./archive-schedule-repository.js";
import type { ArchiveService } from "./archive-service.js";

/**
 * Reads `audit.archive_every`.
 * @returns Seconds, at least 60; `null` for an empty text.
 * @throws {MezError} `INVALID_DURATION`, `CONFIG_INVALID`
 */
export function parseArchiveEvery(text: string): number | null {
  if (text === "") return null;
  const seconds = parseDuration(text);
  if (seconds < MIN_SECONDS)
    throw new MezError(
      "CONFIG_INVALID",
      `audit.archive_every is ${text}; use at least ${MIN_SECONDS}s, as each run makes a file`,
    );
  return seconds;
}

export interface ScheduledArchivingParts {
  readonly database: Database;
  readonly archive: Pick<ArchiveService, "run" | "prune">;
  readonly everySeconds: number;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Between two looks at the schedule. Default 15000. */
  readonly lookMs?: number;
}

/** Archives again and again what is not archived, as `mezctl audit archive` does; of several servers one each time. */
export class ScheduledArchiving implements Lifecycle {
  #timer: NodeJS.Timeout | null = null;
  #running: Promise<void> | null = null;
  #isStopping = false;
  /** Why the last run failed: the same again and again is told once. */
  #failure = "";

  constructor(private readonly parts: ScheduledArchivingParts) {}

  async start(): Promise<void> {
    this.#timer = setInterval(() => void this.look(), this.parts.lookMs ?? 15_000).unref();
  }

  /** Stops between two files; the rest is archived in the next turn. */
  async drain(): Promise<void> {
    this.#isStopping = true;
    if (this.#timer !== null) clearInterval(this.#timer);
    await this.#running;
  }

  dispose(): Promise<void> {
    return this.drain();
  }

  /** Archives when a turn is due. Never rejects; resolves when there is nothing more to do. */
  look(): Promise<void> {
    if (this.#isStopping) return Promise.resolve();
    this.#running ??= this.#turn().finally(() => {
      this.#running = null;
    });
    return this.#running;
  }

  async #turn(): Promise<void> {
    const { database, clock, logger, everySeconds } = this.parts;
    try {
      if (!(await database.transaction((tx) => claimTurn(tx.em, clock.now(), everySeconds)))) return;
      await this.#archive();
      this.#failure = "";
    } catch (error) {
      const reason = messageOf(error);
      if (reason !== this.#failure) logger.error("the audit log could not be archived; trying again", { error: reason });
      this.#failure = reason;
      const soon = Math.min(everySeconds, RETRY_SECONDS);
      await database
        .transaction((tx) => repeatTurn(tx.em, clock.now(), soon))
        .catch((failure: unknown) => logger.debug("the next turn comes as planned", { error: messageOf(failure) }));
    }
  }

  async #archive(): Promise<void> {
    const { archive, logger } = this.parts;
    let [events, files] = [0, 0];
    for await (const { firstSeq, lastSeq } of archive.run(NOBODY)) {
      events += lastSeq - firstSeq + 1;
      files += 1;
      if (this.#isStopping) return;
    }
    const removed = await archive.prune(NOBODY);
    if (events > 0 || removed > 0) logger.info("audit events archived", { events, files, removed });
  }
}

// --- internal ---

const MIN_SECONDS = 60;
const RETRY_SECONDS = 300;
/** For the audit log: no person asked for it. */
const NOBODY = "";
