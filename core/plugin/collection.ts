import type { Caller } from "./caller.js";
import type { ServiceToken } from "./contract.js";
import type { RpcConnection } from "./rpc.js";

/**
 * A set of named values that the auth service owns and others keep a live copy of: roles, locks, CA keys, nodes.
 * `type?` carries the value's type; values must survive JSON.
 */
export interface CollectionKind<T> {
  readonly name: string;
  readonly version: number;
  readonly type?: T;
  /** Which entries a caller may watch. Called on the auth service for each entry; anything else is never sent. */
  visibleTo(caller: Caller, key: string): boolean;
  /**
   * The keys that a caller may watch at most, for a kind of which most callers see few of many entries: nobody is asked
   * about others. What is among them is still up to `visibleTo`. Left out, it is `all`.
   */
  keysOf?(caller: Caller): "all" | readonly string[];
}

/** Where the auth service reads a collection from when a copy begins. */
export interface CollectionSource<T> {
  entries(): Promise<readonly (readonly [key: string, value: T])[]>;
}

/** A live copy. Reads cost a map look-up and never wait. */
export interface Collection<T> {
  get(key: string): T | undefined;
  entries(): IterableIterator<[string, T]>;
  values(): IterableIterator<T>;
  readonly size: number;
  /** Called after each change, with `undefined` when the key is gone. Returns the way to stop. */
  onChange(listener: (key: string, value: T | undefined) => void): () => void;
}

/** The live copies of this process. On the auth service they follow the database; elsewhere a watch stream. */
export interface Collections {
  of<T>(kind: CollectionKind<T>): Collection<T>;
  /** Resolves when the first complete copy is in place. */
  ready(): Promise<void>;
  /** Seconds since the last sign of life from the auth service; 0 on the auth service itself. */
  silentSeconds(): number;
  /** Follows the auth service over `connection` instead of a local database; an agent calls it once it has an identity. */
  follow(connection: RpcConnection): void;
}

export const COLLECTIONS: ServiceToken<Collections> = { id: "core.collections", version: 1 };
