import { setImmediate as nextTurn, setTimeout as sleep } from "node:timers/promises";
import { MezError, messageOf } from "../../core/errors/error.js";
import type { Database } from "../../core/plugin/database.js";
import type { Duties } from "../../core/plugin/duties.js";
import type { Logger } from "../../core/plugin/logger.js";
import type { AuditForwarder, ForwardedEvent } from "../../core/ports/audit-forwarder.js";
import type { Clock } from "../../core/time/clock.js";
import { toLine } from "./archive-line.js";
import { readChain, readEnds } from "./audit-repository.js";
import type { AuditRow } from "./audit-row.js";
import { readCursor, saveCursor } from "./cursor-repository.js";

export interface PumpParts {
  readonly name: string;
  /** As it is now. */
  readonly forwarder: () => AuditForwarder;
  readonly database: Database;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Of several servers one forwards. */
  readonly duties: Duties;
  /** Times, for tests. */
  readonly times?: PumpTimes;
}

/** In milliseconds. */
export interface PumpTimes {
  /** Between an event and the look for it, so that those of one moment go together. */
  readonly gatherMs: number;
  /** Between looks when nothing wakes it. */
  readonly idleMs: number;
  /** After the first failure; twice as long each further time. */
  readonly retryMs: number;
  readonly maxRetryMs: number;
  /** What a delivery may take. */
  readonly deliveryMs: number;
}

/** How far a forwarder is. */
export interface ForwarderState {
  readonly name: string;
  /** The last event that it has taken. */
  readonly seq: number;
  /** Events that were removed from the database before it took them. */
  readonly missed: number;
  /** Why the last attempt failed, and since when; `null` when it did not. */
  readonly failure: { readonly message: string; readonly since: Date } | null;
}

/** Reads the audit log from where a forwarder is, and gives it what comes, in order. Nobody waits for it. */
export class ForwarderPump {
  readonly #stopping = new AbortController();
  #running: Promise<void> = Promise.resolve();
  #wakeUp: () => void = () => undefined;
  #woken = false;
  #state: ForwarderState;
  #savedSeq = -1;
  #repeatSeconds = 0;
  /** Where it was after each delivery of the last while, for forwarders that want repetition. */
  #marks: { readonly at: number; readonly seq: number }[] = [];

  constructor(private readonly parts: PumpParts) {
    this.#state = { name: parts.name, seq: 0, missed: 0, failure: null };
  }

  get state(): ForwarderState {
    return this.#state;
  }

  start(): void {
    this.#running = this.#run();
  }

  wake(): void {
    this.#woken = true;
    this.#wakeUp();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    this.wake();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { logger, name } = this.parts;
    const { retryMs, maxRetryMs, gatherMs } = this.#times;
    const { signal } = this.#stopping;
    let isPlaced = false;
    let waitMs = retryMs;
    while (!signal.aborted) {
      try {
        if (!(await this.parts.duties.have(`forward to ${name}`))) {
          isPlaced = false;
          await this.#look();
          await this.#idle(signal);
          continue;
        }
        if (!isPlaced) await this.#takePlace();
        isPlaced = true;
        const delivered = await this.#deliverNext(signal);
        if (this.#state.failure !== null) logger.info("audit events are forwarded again", { forwarder: name });
        this.#state = { ...this.#state, failure: null };
        waitMs = retryMs;
        await nextTurn();
        if (delivered > 0) continue;
        await this.#save();
        await this.#idle(signal);
        await sleep(gatherMs, undefined, { signal }).catch(() => undefined);
      } catch (error) {
        if (signal.aborted) break;
        this.#failed(error);
        await sleep(waitMs, undefined, { signal }).catch(() => undefined);
        waitMs = Math.min(waitMs * 2, maxRetryMs);
      }
    }
    if (isPlaced)
      await this.#save().catch((error) => logger.warn("cannot save how far a forwarder is", { error: messageOf(error) }));
  }

  get #times(): PumpTimes {
    return this.parts.times ?? TIMES;
  }

  /** Takes over how far another server has come. */
  async #look(): Promise<void> {
    const cursor = await this.parts.database.read((em) => readCursor(em, this.parts.name));
    this.#marks = [];
    this.#state = { ...this.#state, seq: cursor?.seq ?? 0, missed: cursor?.missed ?? 0, failure: null };
  }

  /** A new forwarder begins with what comes from now on. */
  async #takePlace(): Promise<void> {
    const { database, name } = this.parts;
    const cursor = await database.read((em) => readCursor(em, name));
    const ends = await database.read(readEnds);
    this.#state = {
      ...this.#state,
      ...(cursor === null ? { seq: ends?.head.seq ?? 0 } : { seq: cursor.seq, missed: cursor.missed }),
    };
    if (cursor !== null) this.#savedSeq = cursor.seq;
    await this.#save();
  }

  /** @returns How many events. */
  async #deliverNext(signal: AbortSignal): Promise<number> {
    const { database } = this.parts;
    const ends = await database.read(readEnds);
    if (ends === null || ends.head.seq <= this.#state.seq) return 0;
    if (ends.base.seq > this.#state.seq) this.#skipTo(ends.base.seq);
    const events = asManyAsFit(await database.read((em) => readChain(em, this.#state.seq, BATCH_EVENTS)));
    const last = events.at(-1);
    if (last === undefined) return 0;
    const time = AbortSignal.timeout(this.#times.deliveryMs);
    const forwarder = this.parts.forwarder();
    this.#repeatSeconds = forwarder.repeatSeconds ?? 0;
    await orAborted(forwarder.deliver(events, AbortSignal.any([signal, time])), signal, time);
    const seqBefore = this.#state.seq;
    this.#state = { ...this.#state, seq: last.seq };
    this.#mark(seqBefore);
    if (last.seq - this.#savedSeq >= SAVE_EVENTS) await this.#save();
    return events.length;
  }

  #skipTo(seq: number): void {
    const count = seq - this.#state.seq;
    this.#state = { ...this.#state, seq, missed: this.#state.missed + count };
    this.parts.logger.error("a forwarder was away for too long, and audit events were removed before it took them", {
      forwarder: this.parts.name,
      events: count,
    });
  }

  #mark(seq: number): void {
    if (this.#repeatSeconds === 0) return;
    const at = this.parts.clock.now().getTime();
    this.#marks.push({ at, seq });
    while ((this.#marks[0]?.at ?? at) < at - this.#repeatSeconds * 1000 || this.#marks.length > MAX_MARKS) this.#marks.shift();
  }

  #failed(error: unknown): void {
    const { clock, logger, name } = this.parts;
    const message = messageOf(error);
    if (this.#state.failure === null)
      logger.warn("audit events cannot be forwarded; they are kept and tried again", { forwarder: name, error: message });
    const since = clock.now().getTime() - this.#repeatSeconds * 1000;
    const lost = this.#marks.find(({ at }) => at >= since);
    this.#marks = [];
    this.#state = {
      ...this.#state,
      seq: lost?.seq ?? this.#state.seq,
      failure: { message, since: this.#state.failure?.since ?? clock.now() },
    };
  }

  async #save(): Promise<void> {
    const { seq, missed, name } = this.#state;
    if (seq === this.#savedSeq) return;
    await this.parts.database.transaction((tx) => saveCursor(tx.em, name, { seq, missed }));
    this.#savedSeq = seq;
  }

  async #idle(signal: AbortSignal): Promise<void> {
    if (!this.#woken) {
      const waiting = new AbortController();
      this.#wakeUp = () => waiting.abort();
      await sleep(this.#times.idleMs, undefined, { signal: AbortSignal.any([waiting.signal, signal]), ref: false }).catch(
        () => undefined,
      );
    }
    this.#woken = false;
  }
}

// --- internal ---

const TIMES: PumpTimes = { gatherMs: 100, idleMs: 2_000, retryMs: 1_000, maxRetryMs: 60_000, deliveryMs: 30_000 };
const BATCH_EVENTS = 200;
const BATCH_CHARACTERS = 512 * 1024; // web servers refuse more than a megabyte by default
const SAVE_EVENTS = 2_000; // what may come again after a crash
const MAX_MARKS = 1_000;

/** At least one, when there is one. */
function asManyAsFit(rows: readonly AuditRow[]): readonly ForwardedEvent[] {
  const events: ForwardedEvent[] = [];
  let characters = 0;
  for (const row of rows) {
    const event = toForwarded(row);
    characters += event.json.length;
    if (events.length > 0 && characters > BATCH_CHARACTERS) break;
    events.push(event);
  }
  return events;
}

function toForwarded(row: AuditRow): ForwardedEvent {
  const { seq, id, eventType: type, eventCode: code, timestamp, success } = row;
  return { seq, id, type, code, timestamp, success, json: toLine(row) };
}

/** A forwarder that does not answer must not keep its pump. */
async function orAborted(work: Promise<void>, signal: AbortSignal, time: AbortSignal): Promise<void> {
  const over = AbortSignal.any([signal, time]);
  const { promise, reject } = Promise.withResolvers<never>();
  const giveUp = () => reject(new MezError("TIMEOUT", "it did not take them in time"));
  over.addEventListener("abort", giveUp, { once: true });
  try {
    await Promise.race([work, promise]);
  } finally {
    over.removeEventListener("abort", giveUp);
    promise.catch(() => undefined);
    work.catch(() => undefined);
  }
}
