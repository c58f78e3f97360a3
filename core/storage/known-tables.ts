import type { MikroORM } from "@mikro-orm/core";
import type { Entities } from "../plugin/database.js";
import type { PluginTables } from "./database.js";

/** The entities and migrations that an open database has been told of, while plugins come, go and are replaced by other code. */
export class KnownTables {
  readonly #entities: Set<Entities[number]>;
  /** Weak: a plugin that is replaced brings classes of its own, which must not outlive it. */
  readonly #migrations: WeakSet<object>;

  constructor(
    private readonly orm: MikroORM,
    plugins: readonly PluginTables[],
  ) {
    this.#entities = new Set(plugins.flatMap(({ entities }) => entities));
    this.#migrations = new WeakSet(plugins.flatMap(({ migrations }) => migrations.map((each) => each.class)));
  }

  /** Adds the entities of a plugin. @param migrate Called before that when it has migrations that have not run here. */
  async add({ entities, migrations }: PluginTables, migrate: () => Promise<void>): Promise<void> {
    if (migrations.some((each) => !this.#migrations.has(each.class))) await migrate();
    for (const each of migrations) this.#migrations.add(each.class);
    const fresh = entities.filter((entity) => !this.#entities.has(entity));
    if (fresh.length > 0) this.orm.discoverEntity(fresh);
    for (const entity of fresh) this.#entities.add(entity);
  }

  /** Lets go of entities; their tables stay. */
  forget(entities: Entities): void {
    const gone = entities.filter((entity) => this.#entities.delete(entity)).map((entity) => entity.meta.class);
    if (gone.length > 0) this.orm.discoverEntity([], gone);
  }
}
