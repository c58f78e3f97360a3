import type { Collection, CollectionKind, CollectionSource, Collections } from "../plugin/collection.js";
import { type CollectionChange, CollectionRegistry, kindId } from "./collections.js";

/** The collections of a process that has the database: loaded from their sources, then fed by its own commits. */
export class LocalCollections implements Collections {
  readonly #kinds = new Map<string, CollectionKind<unknown>>();
  readonly #listeners = new Set<() => void>();

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
    const isUnknown = !this.#kinds.has(id);
    this.#kinds.set(id, kind);
    this.registry.replace(id, entries, isUnknown);
  }

  /** What watchers are shown from now on no longer contains the collection; copies in this process stay. */
  withdraw(kind: CollectionKind<unknown>): void {
    this.#kinds.delete(kindId(kind));
    for (const listener of [...this.#listeners]) listener();
  }

  /** Calls `listener` when a collection was withdrawn. Returns the way to stop. */
  onWithdrawn(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  published(): readonly (readonly [id: string, kind: CollectionKind<unknown>])[] {
    return [...this.#kinds];
  }

  kind(id: string): CollectionKind<unknown> | undefined {
    return this.#kinds.get(id);
  }

  /** Committed changes, in order. */
  apply(changes: readonly CollectionChange[]): void {
    this.registry.apply(changes);
  }

  async ready(): Promise<void> {}

  silentSeconds(): number {
    return 0;
  }

  follow(): void {}
}
