import type { EntityManager } from "@mikro-orm/core";
import { MezError } from "../errors/error.js";
import type { Logger } from "../plugin/logger.js";
import type { PluginTables } from "./database.js";
import { historyTable } from "./history-table.js";

type KnownMigrations = Pick<PluginTables, "id" | "migrations">;

/**
 * Notices that a server of a newer release has changed the tables of a shared database. From then on this server neither
 * reads nor writes: it does not know what the tables mean.
 */
export class SchemaWatch {
  readonly #known = new Map<string, ReadonlySet<string>>();
  /** The count of changes that was looked at. */
  #checked: number | null = null;
  #newer: MezError | null = null;

  constructor(
    plugins: readonly KnownMigrations[],
    private readonly logger: Logger,
  ) {
    for (const plugin of plugins) this.learn(plugin);
  }

  /** Takes over what a plugin knows that is added, or replaced by another version; what was known before is not forgotten. */
  learn({ id, migrations }: KnownMigrations): void {
    const names = migrations.map(({ name }) => name);
    if (names.length > 0) this.#known.set(id, new Set([...(this.#known.get(id) ?? []), ...names]));
  }

  /** Whether a plugin has tables that are looked at. */
  knows(id: string): boolean {
    return this.#known.has(id);
  }

  /** Whether tables were changed in a way that this server does not know. */
  get isOutdated(): boolean {
    return this.#newer !== null;
  }

  /**
   * Looks at what has run, if tables were changed since the last look.
   * @param changes The count that goes with what `em` reads.
   * @throws {MezError} `STORAGE_NEWER`, from then on always
   */
  async check(em: EntityManager, changes: number): Promise<void> {
    if (this.#newer !== null) throw this.#newer;
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
    this.#newer = new MezError(
      "STORAGE_NEWER",
      `a newer version has changed the database: plugin "${unknown.plugin}" does not know its migration "${unknown.name}"; start that version here`,
    );
    this.logger.error(`${this.#newer.message}; this server answers no more calls`, { code: this.#newer.code });
    throw this.#newer;
  }
}
