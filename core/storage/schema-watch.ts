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

  /** Takes over what a plugin knows that is added or replaced while the process runs. */
  learn({ id, migrations }: KnownMigrations): void {
    if (migrations.length > 0) this.#known.set(id, new Set(migrations.map(({ name }) => name)));
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
