import { randomUUID } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { messageOf } from "../../core/errors/error.js";
import type { AuditEventType } from "../../core/plugin/audit.js";
import type { Lifecycle } from "../../core/plugin/contract.js";
import type { Database, Transaction } from "../../core/plugin/database.js";
import type { Duties } from "../../core/plugin/duties.js";
import type { Logger } from "../../core/plugin/logger.js";
import { type PostTarget, postSigned } from "../../core/plugin/signed-post.js";
import type { Clock } from "../../core/time/clock.js";
import type { AccessRequest } from "./access-request.js";
import { deleteNotification, findOldestNotification, insertNotification, type Notification } from "./notification-repository.js";

export interface NotifierParts {
  readonly database: Database;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Of several servers one tells. */
  readonly duties: Duties;
  readonly clusterName: string;
  readonly target: PostTarget;
  /** Wait after the first failure, in milliseconds; doubled up to 600 times. Default 1000. */
  readonly retryMs?: number;
}

/**
 * Tells a webhook of each step of a request, in order, at least once. What has to be told is a row that commits with the
 * step, so that neither a crash nor a receiver that is away loses it; after a day it is given up.
 */
export class Notifier implements Lifecycle {
  readonly #stop = new AbortController();
  #wake = new AbortController();
  #running: Promise<void> = Promise.resolve();
  #last = 0;

  constructor(private readonly parts: NotifierParts) {}

  /** Keeps what is to be told, inside the transaction of the step. */
  async announce(tx: Transaction, type: AuditEventType, request: AccessRequest, by: string): Promise<void> {
    const { clock, clusterName } = this.parts;
    // Rows of one millisecond keep their order.
    this.#last = Math.max(clock.now().getTime(), this.#last + 1);
    const createdAt = new Date(this.#last);
    const id = randomUUID();
    const body = JSON.stringify({
      id,
      type,
      at: createdAt,
      cluster: clusterName,
      by,
      text: sentence(type, request, by),
      request,
    });
    await insertNotification(tx.em, { id, requestId: request.id, body, createdAt });
    setImmediate(() => this.#wake.abort()); // after the commit at the earliest; the next look is never far
  }

  async start(): Promise<void> {
    this.#running = this.#run();
  }

  async dispose(): Promise<void> {
    this.#stop.abort();
    this.#wake.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { retryMs = 1000, database, duties, logger } = this.parts;
    let failures = 0;
    while (!this.#stop.signal.aborted) {
      this.#wake = new AbortController();
      const next = await database.read(findOldestNotification).catch(() => null);
      const isOurs = next !== null && (await duties.have("notify").catch(() => false));
      if (next === null || !isOurs) {
        await this.#sleep(LOOK_EVERY_MS, this.#wake.signal);
        continue;
      }
      try {
        await this.#send(next);
        failures = 0;
      } catch (error) {
        if (this.#stop.signal.aborted) return;
        failures += 1;
        if (failures === 1)
          logger.warn("access requests cannot be told to the webhook; trying again", { error: messageOf(error) });
        await this.#sleep(Math.min(retryMs * 2 ** (failures - 1), retryMs * 600), this.#stop.signal);
      }
    }
  }

  async #send(next: Notification): Promise<void> {
    const { target, clock, database, logger } = this.parts;
    const isTooOld = clock.now().getTime() - next.createdAt.getTime() > GIVE_UP_MS;
    if (isTooOld) logger.error("a step of an access request could not be told for a day, and is given up", { id: next.id });
    else await postSigned(target, next, clock.now(), this.#stop.signal);
    await database.transaction((tx) => deleteNotification(tx.em, next.id));
  }

  async #sleep(ms: number, signal: AbortSignal): Promise<void> {
    await delay(ms, undefined, { signal }).catch(() => undefined);
  }
}

// --- internal ---

const LOOK_EVERY_MS = 2_000;
const GIVE_UP_MS = 86_400_000;

/** One line for people: what bridges to chat systems show. */
function sentence(...step: Parameters<typeof words>): string {
  // Chat systems read commands and links between angle brackets, and the reasons are anybody's words.
  return words(...step)
    .replaceAll("<", "\u2039")
    .replaceAll(">", "\u203a");
}

function words(type: AuditEventType, { user, roles, nodes, reason, reviews, id }: AccessRequest, by: string): string {
  const what = [...roles.map((role) => `role ${role}`), ...nodes.map((node) => `node ${node}`)].join(", ");
  const step = type.slice(type.indexOf(".") + 1);
  if (step === "created")
    return `${user} asks for ${what}${reason === "" ? "" : `: ${reason}`} (mezctl access-requests approve ${id})`;
  const word = reviews.at(-1)?.reason ?? "";
  const done = step === "reviewed" ? "approved" : step;
  const missing = step === "reviewed" ? ", others have to approve as well" : "";
  return `${what} for ${user}: ${done}${by === "" ? "" : ` by ${by}`}${missing}${word === "" || by === "" ? "" : `: ${word}`}`;
}
