import type { Caller } from "../plugin/caller.js";
import type { CollectionKind } from "../plugin/collection.js";

/** Somebody who watches collections. */
export interface Watcher<Message> {
  readonly caller: Caller;
  push(message: Message): void;
}

/**
 * Those who watch. A change is offered to whom it can concern by the `keysOf` of its kind, so that what one node says of
 * itself does not cost a question for each of ten thousand others.
 */
export class WatchAudience<Message> {
  readonly #watchers = new Set<Watcher<Message>>();
  readonly #byKind = new Map<string, KindAudience<Message>>();

  /** @returns The way to leave. */
  add(watcher: Watcher<Message>): () => void {
    this.#watchers.add(watcher);
    for (const audience of this.#byKind.values()) audience.add(watcher);
    return () => {
      this.#watchers.delete(watcher);
      for (const audience of this.#byKind.values()) audience.remove(watcher);
    };
  }

  /**
   * Tells everybody who may see the entry.
   * @param id Of the kind, `name@version`.
   * @param make The message, made once for all of them.
   */
  tell(id: string, kind: CollectionKind<unknown>, key: string, make: () => Message): void {
    let message: Message | undefined;
    for (const watcher of this.#of(id, kind).at(key)) {
      if (!kind.visibleTo(watcher.caller, key)) continue;
      message ??= make();
      watcher.push(message);
    }
  }

  /** A kind that its plugin published again is another. */
  #of(id: string, kind: CollectionKind<unknown>): KindAudience<Message> {
    const known = this.#byKind.get(id);
    if (known?.kind === kind) return known;
    const made = new KindAudience<Message>(kind);
    for (const watcher of this.#watchers) made.add(watcher);
    this.#byKind.set(id, made);
    return made;
  }
}

// --- internal ---

class KindAudience<Message> {
  readonly #ofAll = new Set<Watcher<Message>>();
  readonly #ofKey = new Map<string, Set<Watcher<Message>>>();

  constructor(readonly kind: CollectionKind<unknown>) {}

  add(watcher: Watcher<Message>): void {
    const keys = this.#keysOf(watcher);
    if (keys === "all") return void this.#ofAll.add(watcher);
    for (const key of keys) this.#ofKey.set(key, (this.#ofKey.get(key) ?? new Set()).add(watcher));
  }

  remove(watcher: Watcher<Message>): void {
    const keys = this.#keysOf(watcher);
    if (keys === "all") return void this.#ofAll.delete(watcher);
    for (const key of keys) {
      const watchers = this.#ofKey.get(key);
      watchers?.delete(watcher);
      if (watchers?.size === 0) this.#ofKey.delete(key);
    }
  }

  *at(key: string): IterableIterator<Watcher<Message>> {
    yield* this.#ofAll;
    yield* this.#ofKey.get(key) ?? [];
  }

  #keysOf({ caller }: Watcher<Message>): "all" | readonly string[] {
    return this.kind.keysOf?.(caller) ?? "all";
  }
}
