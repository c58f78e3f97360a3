import { BinaryWriter } from "@bufbuild/protobuf/wire";
import { WatchMessage } from "../../proto/gen/mezite/core/v1/watch.js";
import type { CollectionChange } from "./collections.js";

/** A message of a watch stream that many watchers get: its bytes are made once. */
export class SharedMessage implements WatchMessage {
  #bytes: Buffer | null = null;

  constructor(readonly message: NonNullable<WatchMessage["message"]>) {}

  get bytes(): Buffer {
    this.#bytes ??= finished(WatchMessage.encode(this));
    return this.#bytes;
  }
}

/** Several messages as one; no batch among them. */
export class MessageBatch implements WatchMessage {
  constructor(private readonly messages: readonly SharedMessage[]) {}

  get message(): NonNullable<WatchMessage["message"]> {
    return { $case: "batch", batch: { messages: [...this.messages] } };
  }

  /** The same as the encoded `message`, made of the bytes that are there already. */
  get bytes(): Buffer {
    const writer = new BinaryWriter().uint32(tag(BATCH_FIELD)).fork();
    for (const { bytes } of this.messages) writer.uint32(tag(MESSAGES_FIELD)).bytes(bytes);
    return finished(writer.join());
  }
}

/** What tells of a change of an entry. */
export function messageOf({ kind, key, value }: CollectionChange): SharedMessage {
  if (value === undefined) return new SharedMessage({ $case: "remove", remove: { kind, key } });
  return new SharedMessage({ $case: "put", put: { kind, key, value: JSON.stringify(value) } });
}

/** Puts messages together into batches of at most so many bytes; a longer message goes alone. */
export function* batched(messages: readonly SharedMessage[], maxBytes = MAX_BATCH_BYTES): Iterable<WatchMessage> {
  let first = 0;
  let size = 0;
  for (const [index, { bytes }] of messages.entries()) {
    if (index > first && size + bytes.length > maxBytes) {
      yield together(messages.slice(first, index));
      first = index;
      size = 0;
    }
    size += bytes.length;
  }
  if (first < messages.length) yield together(messages.slice(first));
}

/** For the definition of the service. */
export function serializeWatchMessage(message: WatchMessage): Buffer {
  if (message instanceof SharedMessage || message instanceof MessageBatch) return message.bytes;
  return finished(WatchMessage.encode(message));
}

/** Messages of the entries that are shown to everybody who comes, kept for as long as the entry stays as it is. */
export class EntryMessages {
  readonly #byKind = new Map<string, Map<string, KnownMessage>>();

  of(change: CollectionChange): SharedMessage {
    const { kind, key, value } = change;
    const known = this.#byKind.get(kind)?.get(key);
    if (known !== undefined && known.value === value) return known.message;
    const message = messageOf(change);
    const entries = this.#byKind.get(kind) ?? new Map<string, KnownMessage>();
    this.#byKind.set(kind, entries.set(key, { value, message }));
    return message;
  }

  /** The entry has another value now, or none. */
  forget({ kind, key }: CollectionChange): void {
    this.#byKind.get(kind)?.delete(key);
  }

  clear(): void {
    this.#byKind.clear();
  }
}

// --- internal ---

const BATCH_FIELD = 5; // watch.proto, WatchMessage
const MESSAGES_FIELD = 1; // watch.proto, Batch
const LENGTH_DELIMITED = 2; // protobuf encoding, wire types
const MAX_BATCH_BYTES = 256 * 1024; // far below what a client takes in one message, 4 MiB

interface KnownMessage {
  readonly value: unknown;
  readonly message: SharedMessage;
}

function together(messages: readonly SharedMessage[]): WatchMessage {
  const [only] = messages;
  return messages.length === 1 && only !== undefined ? only : new MessageBatch(messages);
}

function tag(field: number): number {
  return (field << 3) | LENGTH_DELIMITED;
}

function finished(writer: BinaryWriter): Buffer {
  const bytes = writer.finish();
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
