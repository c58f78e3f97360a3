import type { EntityManager } from "@mikro-orm/core";
import { MezError } from "../errors/error.js";
import type { Logger } from "../plugin/logger.js";
import type { PluginTables } from "./database.js";
import { historyTable } from "./history-table.js";

type KnownMigrations = Pick<PluginTables, "id" | "migrations" | "isPackage">;

/**
 * Notices that a server of a newer release has changed the tables of a shared database. From then on this server neither
 * reads nor writes: it does not know what the tables mean.
 *
 * A package may be upgraded while servers run, on one after the other: writes wait some seconds for this server to follow, and
 * if it follows later it goes on.
 */
export class SchemaWatch {
  readonly #known = new Map<string, ReadonlySet<string>>();
  /** The count of changes that was looked at. */
  #checked: number | null = null;
  #newer: Newer | null = null;
  readonly #packages = new Set<string>();

  constructor(
    plugins: readonly KnownMigrations[],
    private readonly logger: Logger,
    /** Milliseconds of a clock that never steps. */
    private readonly now: () => number = () => performance.now(),
  ) {
    for (const plugin of plugins) this.learn(plugin);
  }

  /** Takes over what a plugin knows that is added, or replaced by another version; what was known before is not forgotten. */
  learn({ id, migrations, isPackage = false }: KnownMigrations): void {
    if (isPackage) this.#packages.add(id);
    if (this.#newer?.plugin === id && this.#packages.has(id)) this.#newer = null;
    this.#checked = null;
    const names = migrations.map(({ name }) => name);
    if (names.length > 0) this.#known.set(id, new Set([...(this.#known.get(id) ?? []), ...names]));
  }

  /** Looks no more at the tables of a plugin that does not run here any more. */
  unlearn(id: string): void {
    this.#known.delete(id);
    if (this.#newer?.plugin === id && this.#packages.delete(id)) this.#newer = null;
  }

  /** Whether a plugin has tables that are looked at. */
  knows(id: string): boolean {
    return this.#known.has(id);
  }

  /** Whether tables were changed in a way that this server does not know. */
  get isOutdated(): boolean {
    return this.#newer?.isFinal === true;
  }

  /**
   * Looks at what has run, if tables were changed since the last look.
   * @param changes The count that goes with what `em` reads.
   * @throws {MezError} `STORAGE_NEWER`, from then on until the plugin is learned if it is a package, else always; before that, of
   * a package, `UNAVAILABLE`
   */
  async check(em: EntityManager, changes: number): Promise<void> {
    if (this.#newer !== null) throw this.#refusal(this.#newer);
    if (changes === this.#checked) return;
    const each = [...this.#known.keys()].map((id) => `select '${id}' as plugin, name from ${historyTable(id)}`);
    const applied: readonly { readonly plugin: string; readonly name: string }[] = await em
      .getConnection()
      .execute(each.join(" union all "), [], "all", em.getTransactionContext());
    const unknown = applied.find(({ plugin, name }) => this.#known.get(plugin)?.has(name) === false);
    if (unknown === undefined) {
      this.#checked = changes;
      return;
    }
    this.#newer = { ...unknown, at: this.now(), isFinal: false };
    throw this.#refusal(this.#newer);
  }

  #refusal(newer: Newer): MezError {
    const { plugin, name, at } = newer;
    if (this.#packages.has(plugin) && this.now() - at < FOLLOW_MS)
      return new MezError("UNAVAILABLE", `another server has upgraded plugin "${plugin}", and this one follows; try again`);
    const error = new MezError(
      "STORAGE_NEWER",
      `a newer version has changed the database: plugin "${plugin}" does not know its migration "${name}"; start that version here`,
    );
    if (!newer.isFinal) this.logger.error(`${error.message}; this server answers no more calls`, { code: error.code });
    newer.isFinal = true;
    return error;
  }
}

// --- internal ---

interface Newer {
  readonly plugin: string;
  /** The migration that is not known here. */
  readonly name: string;
  readonly at: number;
  /** Whether it was given up to wait for this server to follow. */
  isFinal: boolean;
}

// As long as a transaction waits for a database that is away.
const FOLLOW_MS = 5_000;
