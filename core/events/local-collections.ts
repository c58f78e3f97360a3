import type { Collection, CollectionKind, CollectionSource, Collections } from "../plugin/collection.js";
import { type CollectionChange, CollectionRegistry, kindId } from "./collections.js";

/** The collections of a process that has the database: loaded from their sources, then fed by its own commits. */
export class LocalCollections implements Collections {
  readonly #published = new Map<string, Published>();
  readonly #listeners = new Set<() => void>();
  #silentSeconds: () => number = () => 0;

  constructor(readonly registry = new CollectionRegistry()) {}

  of<T>(kind: CollectionKind<T>): Collection<T> {
    return this.registry.of(kind);
  }

  /** Takes a collection on, with everything that its source holds and what is committed while that is read. */
  async publish(kind: CollectionKind<unknown>, source: CollectionSource<unknown>): Promise<void> {
    const id = kindId(kind);
    const meanwhile: CollectionChange[] = [];
    const unlisten = this.registry.onApply((change) => {
      if (change.kind === id) meanwhile.push(change);
    });
    let entries: Map<string, unknown>;
    try {
      entries = new Map(await source.entries());
    } finally {
      unlisten();
    }
    for (const { key, value } of meanwhile) {
      if (value === undefined) entries.delete(key);
      else entries.set(key, value);
    }
    const isUnknown = !this.#published.has(id);
    this.#published.set(id, { kind, source });
    this.registry.replace(id, entries, isUnknown);
  }

  /** Reads all of them from their sources again, when changes may have been missed. */
  async reload(): Promise<void> {
    for (const { kind, source } of [...this.#published.values()]) await this.publish(kind, source);
  }

  /** What watchers are shown from now on no longer contains the collection; copies in this process stay. */
  withdraw(kind: CollectionKind<unknown>): void {
    this.#published.delete(kindId(kind));
    for (const listener of [...this.#listeners]) listener();
  }

  /** Calls `listener` when a collection was withdrawn. Returns the way to stop. */
  onWithdrawn(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  published(): readonly (readonly [id: string, kind: CollectionKind<unknown>])[] {
    return [...this.#published].map(([id, { kind }]) => [id, kind]);
  }

  kind(id: string): CollectionKind<unknown> | undefined {
    return this.#published.get(id)?.kind;
  }

  /** Committed changes, in order. */
  apply(changes: readonly CollectionChange[]): void {
    this.registry.apply(changes);
  }

  async ready(): Promise<void> {}

  silentSeconds(): number {
    return this.#silentSeconds();
  }

  /** Whether other servers' changes may have been missed for so long that nothing should be decided from these copies. */
  get isBlind(): boolean {
    return this.silentSeconds() > BLIND_AFTER_SECONDS;
  }

  /** Whether that is so because a newer release has changed the tables, so that this server will never see again as it is. */
  get isOutdated(): boolean {
    return this.silentSeconds() === Number.POSITIVE_INFINITY;
  }

  /** Takes the time since the database was last heard from `source`, infinite when its tables are of a newer release; until then it is never silent. */
  heardBy(source: () => number): void {
    this.#silentSeconds = source;
  }

  follow(): void {}
}

// --- internal ---

const BLIND_AFTER_SECONDS = 5;

interface Published {
  readonly kind: CollectionKind<unknown>;
  readonly source: CollectionSource<unknown>;
}
