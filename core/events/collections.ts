import { MezError } from "../errors/error.js";
import type { Collection, CollectionKind } from "../plugin/collection.js";

/** A change to one entry; `value` is absent when the key is gone. */
export interface CollectionChange {
  /** `name@version` of the kind. */
  readonly kind: string;
  readonly key: string;
  readonly value?: unknown;
}

type Listener = (key: string, value: unknown) => void;

/** Names a collection kind with its version, e.g. `roles@1`. */
export function kindId(kind: CollectionKind<unknown>): string {
  return `${kind.name}@${kind.version}`;
}

/** The values of one kind, and who listens. */
export class LiveCollection implements Collection<unknown> {
  #values = new Map<string, unknown>();
  readonly #listeners = new Set<Listener>();

  get(key: string): unknown {
    return this.#values.get(key);
  }

  entries(): IterableIterator<[string, unknown]> {
    return this.#values.entries();
  }

  values(): IterableIterator<unknown> {
    return this.#values.values();
  }

  get size(): number {
    return this.#values.size;
  }

  onChange(listener: Listener): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  set(key: string, value: unknown): void {
    if (value === undefined) {
      if (!this.#values.delete(key)) return;
    } else this.#values.set(key, value);
    for (const listener of this.#listeners) listener(key, value);
  }

  /** Takes a whole copy; listeners hear only of what differs. */
  replace(entries: ReadonlyMap<string, unknown>): void {
    for (const key of [...this.#values.keys()]) if (!entries.has(key)) this.set(key, undefined);
    for (const [key, value] of entries) {
      if (!isSame(this.#values.get(key), value)) this.set(key, value);
    }
  }
}

/** All live collections of a process, by kind. A kind may be asked for before its first copy arrives. */
export class CollectionRegistry {
  readonly #byKind = new Map<string, LiveCollection>();
  readonly #listeners = new Set<(change: CollectionChange) => void>();

  of<T>(kind: CollectionKind<T>): Collection<T> {
    return this.byId(kindId(kind)) as unknown as Collection<T>;
  }

  byId(id: string): LiveCollection {
    const known = this.#byKind.get(id);
    if (known !== undefined) return known;
    const made = new LiveCollection();
    this.#byKind.set(id, made);
    return made;
  }

  ids(): readonly string[] {
    return [...this.#byKind.keys()];
  }

  /** Applies changes in order, then tells those who follow the whole registry. */
  apply(changes: readonly CollectionChange[]): void {
    for (const change of changes) {
      this.byId(change.kind).set(change.key, change.value);
      for (const listener of this.#listeners) listener(change);
    }
  }

  /**
   * Takes a whole copy of one kind, and tells those who follow the whole registry what differs.
   * @param tellsAll Tells them everything: they may never have heard of the kind.
   */
  replace(id: string, entries: ReadonlyMap<string, unknown>, tellsAll: boolean): void {
    const known = this.byId(id);
    const changes: CollectionChange[] = [...known.entries()]
      .filter(([key]) => !entries.has(key))
      .map(([key]) => ({ kind: id, key }));
    for (const [key, value] of entries) if (tellsAll || !isSame(known.get(key), value)) changes.push({ kind: id, key, value });
    known.replace(entries);
    for (const change of changes) for (const listener of this.#listeners) listener(change);
  }

  onApply(listener: (change: CollectionChange) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }
}

/** Refuses a name that is no `name@version`. */
export function parseKindId(id: string): string {
  if (!/^[a-z][a-z0-9-]*@\d+$/.test(id)) throw new MezError("INVALID_ARGUMENT", `"${id.slice(0, 60)}" names no collection`);
  return id;
}

// --- internal ---

function isSame(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}
