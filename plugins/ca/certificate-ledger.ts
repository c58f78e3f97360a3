import { messageOf } from "../../core/errors/error.js";
import type { Lifecycle } from "../../core/plugin/contract.js";
import type { Database } from "../../core/plugin/database.js";
import type { Logger } from "../../core/plugin/logger.js";
import type { Clock } from "../../core/time/clock.js";
import type { AuthorityType } from "./api.js";
import { deleteIssuedBefore, findIssued, type IssuedCertificatesRow, storeIssued } from "./authority-repository.js";

/** Certificates that have not expired. */
export interface ValidCertificates {
  readonly count: number;
  /** When the last has expired, rounded up to ten minutes; `null` when there is none. */
  readonly lastExpiresAt: Date | null;
}

/**
 * Counts the certificates of each set of keys by when they expire, so that before keys are dropped one can say what
 * ends with them. In memory; written every few seconds, so that issuing costs no transaction.
 */
export class CertificateLedger implements Lifecycle {
  readonly #rows = new Map<string, IssuedCertificatesRow>();
  readonly #unsaved = new Set<string>();
  #timer: NodeJS.Timeout | null = null;
  #saving: Promise<void> = Promise.resolve();

  constructor(
    private readonly database: Database,
    private readonly clock: Clock,
    private readonly logger: Logger,
  ) {}

  async start(): Promise<void> {
    for (const row of await this.database.read(findIssued)) {
      const counted = this.#rows.get(row.id)?.count ?? 0;
      this.#rows.set(row.id, { ...row, count: row.count + counted });
    }
    this.#timer = setInterval(() => {
      this.#saving = this.#saving.then(() => this.save());
    }, SAVE_MS);
    this.#timer.unref();
  }

  async dispose(): Promise<void> {
    if (this.#timer !== null) clearInterval(this.#timer);
    await this.#saving;
    await this.save();
  }

  note(authority: AuthorityType, generation: number, expiresAt: Date): void {
    const slot = new Date(Math.ceil(expiresAt.getTime() / SLOT_MS) * SLOT_MS);
    const id = `${authority}/${generation}/${slot.toISOString()}`;
    const known = this.#rows.get(id);
    this.#rows.set(id, { id, authority, generation, expiresAt: slot, count: (known?.count ?? 0) + 1 });
    this.#unsaved.add(id);
  }

  valid(authority: AuthorityType, generation: number): ValidCertificates {
    const now = this.clock.now();
    let count = 0;
    let lastExpiresAt: Date | null = null;
    for (const row of this.#rows.values()) {
      if (row.authority !== authority || row.generation !== generation || row.expiresAt <= now) continue;
      count += row.count;
      if (lastExpiresAt === null || row.expiresAt > lastExpiresAt) lastExpiresAt = row.expiresAt;
    }
    return { count, lastExpiresAt };
  }

  /** Writes what is new and forgets what has expired. A failure is logged and tried again at the next time. */
  async save(): Promise<void> {
    if (this.#unsaved.size === 0) return;
    const now = this.clock.now();
    for (const row of this.#rows.values()) if (row.expiresAt <= now) this.#rows.delete(row.id);
    const rows = [...this.#unsaved].flatMap((id) => this.#rows.get(id) ?? []);
    this.#unsaved.clear();
    try {
      await this.database.transaction(async ({ em }) => {
        if (rows.length > 0) await storeIssued(em, rows);
        await deleteIssuedBefore(em, now);
      });
    } catch (error) {
      for (const { id } of rows) this.#unsaved.add(id);
      this.logger.warn("could not store how many certificates were issued", { error: messageOf(error) });
    }
  }
}

// --- internal ---

const SLOT_MS = 600_000;
const SAVE_MS = 5_000;
