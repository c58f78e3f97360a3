import { crc32 } from "node:zlib";
import { kindId } from "../../../../core/events/collections.js";
import { CLUSTER_SETTINGS_COLLECTION } from "../../../../core/plugin/cluster-settings.js";
import { CA_KEYS } from "../../../../plugins/ca/api.js";
import { LOCKS_COLLECTION } from "../../../../plugins/locks/api.js";
import type { Followed } from "../fleet-protocol.js";
import type { SharedTrust, TrustState } from "./shared-trust.js";

/**
 * What an agent keeps of its watch stream: the CA keys, one copy for all agents that have the same, and whether the others changed. The
 * rest is counted as read and let go of.
 */
export class WatchCopy {
  /** `null` while a snapshot comes. */
  #snapshot: Snapshot | null = null;
  #sums: Readonly<Record<Followed, number>> = NO_SUMS;

  constructor(
    private readonly trusts: SharedTrust,
    private readonly onChange: (what: Followed | "ca-keys") => void,
  ) {
    this.trust = trusts.none;
  }

  /** The CA keys, and what is said of them. */
  trust: TrustState;

  /** A stream begins. */
  begin(): void {
    this.#snapshot = { caKeys: new Map(), sums: { ...NO_SUMS } };
  }

  /** Whether everything has come once. */
  get isWhole(): boolean {
    return this.#snapshot === null;
  }

  /** @param message A `WatchMessage`. @throws {Error} for one that is not known */
  take(message: Buffer): void {
    const tag = message[0];
    if (tag === FIELD.put || tag === FIELD.remove) this.#change(new Fields(new Fields(message).next(tag)), tag === FIELD.put);
    else if (tag === FIELD.snapshotComplete) this.#complete();
    else if (tag === FIELD.batch)
      for (const messages = new Fields(new Fields(message).next(tag)); messages.rest.length > 0; )
        this.take(messages.next(FIELD.messages));
    else if (tag !== FIELD.heartbeat) throw new Error(`field ${tag} of a watch message is not known`);
  }

  #change(fields: Fields, isPut: boolean): void {
    const kind = fields.next(FIELD.kind);
    if (kind.equals(CA_KEYS_ID)) this.#changeKeys(fields, isPut);
    for (const [what, id] of FOLLOWED) {
      if (!kind.equals(id)) continue;
      if (this.#snapshot === null) this.onChange(what);
      else this.#snapshot.sums[what] += crc32(fields.rest);
    }
  }

  #changeKeys(fields: Fields, isPut: boolean): void {
    const key = fields.next(FIELD.key).toString();
    const caKeys = this.#snapshot?.caKeys ?? new Map(this.trust.caKeys);
    if (isPut) caKeys.set(key, Buffer.from(fields.next(FIELD.value)));
    else caKeys.delete(key);
    if (this.#snapshot === null) this.#trustIn(caKeys);
  }

  #complete(): void {
    if (this.#snapshot === null) return;
    const { caKeys, sums } = this.#snapshot;
    this.#snapshot = null;
    this.#trustIn(caKeys);
    const before = this.#sums;
    this.#sums = sums;
    for (const [what] of FOLLOWED) if (sums[what] !== before[what]) this.onChange(what);
  }

  #trustIn(caKeys: ReadonlyMap<string, Buffer>): void {
    const before = this.trust;
    this.trust = this.trusts.of(caKeys);
    if (this.trust !== before) this.onChange("ca-keys");
  }
}

// --- internal ---

interface Snapshot {
  readonly caKeys: Map<string, Buffer>;
  /** Of the entries of each kind, so that a change which came with a snapshot is noticed. */
  readonly sums: Record<Followed, number>;
}

const NO_SUMS = { locks: 0, settings: 0 };
const CA_KEYS_ID = Buffer.from(kindId(CA_KEYS));
const FOLLOWED = [
  ["locks", Buffer.from(kindId(LOCKS_COLLECTION))],
  ["settings", Buffer.from(kindId(CLUSTER_SETTINGS_COLLECTION))],
] as const;

/** Number and wire type, length-delimited, of the fields of `WatchMessage`, `Batch`, `Entry` and `EntryKey` in proto/mezite/core/v1/watch.proto. */
const FIELD = {
  ...{ put: 0x0a, remove: 0x12, snapshotComplete: 0x1a, heartbeat: 0x22, batch: 0x2a },
  messages: 0x0a,
  ...{ kind: 0x0a, key: 0x12, value: 0x1a },
} as const;

/** The fields of a message, in their order, all of them length-delimited. */
class Fields {
  constructor(public rest: Buffer) {}

  /** The next one, which is this. */
  next(tag: number): Buffer {
    if (this.rest[0] !== tag) throw new Error(`field ${this.rest[0]} stands where ${tag} is expected`);
    let [at, length, shift, byte] = [1, 0, 0, 0];
    do {
      byte = this.rest[at] ?? 0;
      length += (byte & 127) * 2 ** shift;
      shift += 7;
      at += 1;
    } while (byte >= 128);
    const content = this.rest.subarray(at, at + length);
    this.rest = this.rest.subarray(at + length);
    return content;
  }
}
