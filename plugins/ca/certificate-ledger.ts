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
 * ends with them. In memory; added to what is stored every few seconds, so that issuing costs no transaction and several
 * servers count together.
 */
export class CertificateLedger implements Lifecycle {
  /** What is stored, as it was at the last look. */
  #stored: readonly IssuedCertificatesRow[] = [];
  /** What this server has issued since, by id. */
  #added = new Map<string, IssuedCertificatesRow>();
  #timer: NodeJS.Timeout | null = null;
  #saving: Promise<void> = Promise.resolve();

  constructor(
    private readonly database: Database,
    private readonly clock: Clock,
    private readonly logger: Logger,
  ) {}

  async start(): Promise<void> {
    this.#stored = await this.database.read(findIssued);
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
    const known = this.#added.get(id);
    this.#added.set(id, { id, authority, generation, expiresAt: slot, count: (known?.count ?? 0) + 1 });
  }

  valid(authority: AuthorityType, generation: number): ValidCertificates {
    const now = this.clock.now();
    let count = 0;
    let lastExpiresAt: Date | null = null;
    for (const row of [...this.#stored, ...this.#added.values()]) {
      if (row.authority !== authority || row.generation !== generation || row.expiresAt <= now) continue;
      count += row.count;
      if (lastExpiresAt === null || row.expiresAt > lastExpiresAt) lastExpiresAt = row.expiresAt;
    }
    return { count, lastExpiresAt };
  }

  /** Adds what is new, forgets what has expired, and looks at what others have added. A failure is logged and tried again. */
  async save(): Promise<void> {
    const added = this.#added;
    const now = this.clock.now();
    try {
      if (added.size === 0) {
        this.#stored = await this.database.read(findIssued);
        return;
      }
      const stored = await this.database.transaction(async ({ em }) => {
        const known = new Map((await findIssued(em)).map((row) => [row.id, row.count]));
        await storeIssued(
          em,
          [...added.values()].map((row) => ({ ...row, count: (known.get(row.id) ?? 0) + row.count })),
        );
        await deleteIssuedBefore(em, now);
        this.#added = new Map();
        return findIssued(em);
      });
      this.#stored = stored;
    } catch (error) {
      for (const [id, row] of added) {
        const since = this.#added === added ? undefined : this.#added.get(id);
        this.#added.set(id, { ...row, count: row.count + (since?.count ?? 0) });
      }
      this.logger.warn("could not store how many certificates were issued", { error: messageOf(error) });
    }
  }
}

// --- internal ---

const SLOT_MS = 600_000;
const SAVE_MS = 5_000;
