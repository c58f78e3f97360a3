import { BinaryReader, BinaryWriter, WireType } from "@bufbuild/protobuf/wire";

/** How a value goes over the wire, as `FieldDescriptorProto.Type` of descriptor.proto numbers it. */
export type WireKind = "double" | "int64" | "bool" | "string" | "message" | "bytes";

/** One field of a message, made with `field`. `type?` carries the type of its value. */
export interface Field<T> {
  /** Names it on the wire, for ever. */
  readonly number: number;
  readonly kind: WireKind;
  readonly shape: "single" | "list" | "labels";
  /** For `kind: "message"`. */
  readonly message?: Message<unknown>;
  readonly type?: T;
}

export type Fields = Readonly<Record<string, Field<unknown>>>;

/** A protobuf message as a value: reads and writes plain objects. */
export interface Message<T> {
  /** Without its package: `Freeze`. */
  readonly name: string;
  /** With its package, for a message of protobuf's own; else `null`: it belongs to the service that uses it. */
  readonly fullName: string | null;
  /** Keys in camel case; they are snake case in protobuf. */
  readonly fields: Fields;
  readonly type?: T;
  encode(value: T): Buffer;
  /** Unknown fields are passed over; absent ones have the empty value of their kind. Throws for what is no message. */
  decode(bytes: Uint8Array): T;
}

/** The object that a message reads and writes. */
export type MessageOf<M extends Message<unknown>> = M extends Message<infer T> ? T : never;

/**
 * A message of protobuf, version 3, without a `.proto` file: `message("Freeze", { id: field.string(1), since: field.time(2) })`.
 * Numbers are never changed or used again; new fields get new ones, so that old and new releases understand each other.
 */
export function message<const F extends Fields>(name: string, fields: F): Message<ValueOf<F>> {
  return messageOf<ValueOf<F>>(name, null, fields);
}

/** Makes the fields of a message. */
export const field = {
  string: (number: number): Field<string> => ({ number, kind: "string", shape: "single" }),
  bool: (number: number): Field<boolean> => ({ number, kind: "bool", shape: "single" }),
  /** A whole number up to 2^53 - 1 either way; `int64` on the wire. */
  integer: (number: number): Field<number> => ({ number, kind: "int64", shape: "single" }),
  /** `double` on the wire. */
  number: (number: number): Field<number> => ({ number, kind: "double", shape: "single" }),
  bytes: (number: number): Field<Buffer> => ({ number, kind: "bytes", shape: "single" }),
  /** `google.protobuf.Timestamp`, to the millisecond; `null` when it is absent. */
  time: (number: number): Field<Date | null> => ({ number, kind: "message", shape: "single", message: TIMESTAMP }),
  /** Another message; `null` when it is absent. */
  message: <T>(number: number, of: Message<T>): Field<T | null> => ({ number, kind: "message", shape: "single", message: of }),
  strings: (number: number): Field<readonly string[]> => ({ number, kind: "string", shape: "list" }),
  messages: <T>(number: number, of: Message<T>): Field<readonly T[]> => ({ number, kind: "message", shape: "list", message: of }),
  /** `map<string, string>` on the wire. */
  labels: (number: number): Field<Readonly<Record<string, string>>> => ({
    number,
    kind: "message",
    shape: "labels",
    message: LABEL,
  }),
} as const;

// --- internal ---

type ValueOf<F extends Fields> = { readonly [K in keyof F]: F[K] extends Field<infer T> ? T : never };
type Plain = Readonly<Record<string, unknown>>;

const INSTANT = messageOf<{ readonly seconds: number; readonly nanos: number }>("Timestamp", null, {
  seconds: { number: 1, kind: "int64", shape: "single" },
  nanos: { number: 2, kind: "int64", shape: "single" },
});

const TIMESTAMP: Message<Date> = {
  name: "Timestamp",
  fullName: "google.protobuf.Timestamp",
  fields: INSTANT.fields,
  encode(value) {
    const seconds = Math.floor(value.getTime() / 1000);
    return INSTANT.encode({ seconds, nanos: (value.getTime() - seconds * 1000) * 1_000_000 });
  },
  decode(bytes) {
    const { seconds, nanos } = INSTANT.decode(bytes);
    return new Date(seconds * 1000 + Math.trunc(nanos / 1_000_000));
  },
};

const LABEL = messageOf<{ readonly key: string; readonly value: string }>("Label", null, {
  key: { number: 1, kind: "string", shape: "single" },
  value: { number: 2, kind: "string", shape: "single" },
});

function messageOf<T>(name: string, fullName: string | null, fields: Fields): Message<T> {
  const byNumber = new Map(Object.entries(fields).map(([key, each]) => [each.number, { key, ...each }]));
  if (byNumber.size !== Object.keys(fields).length) throw new TypeError(`message ${name} has two fields with one number`);
  return {
    ...{ name, fullName, fields },
    encode(value) {
      const writer = new BinaryWriter();
      for (const [key, each] of Object.entries(fields)) {
        for (const item of itemsOf(each, (value as Plain)[key])) writeItem(writer, each, item);
      }
      return Buffer.from(writer.finish());
    },
    decode(bytes) {
      const value: Record<string, unknown> = Object.fromEntries(
        Object.entries(fields).map(([key, each]) => [key, emptyOf(each)]),
      );
      const reader = new BinaryReader(bytes);
      while (reader.pos < reader.len) {
        const [number, wireType] = reader.tag();
        const known = byNumber.get(number);
        if (known === undefined || wireType !== WIRE_TYPES[known.kind]) reader.skip(wireType, number);
        else addItem(value, known, readItem(reader, known));
      }
      return value as T;
    },
  };
}

const WIRE_TYPES: Readonly<Record<WireKind, WireType>> = {
  double: WireType.Bit64,
  int64: WireType.Varint,
  bool: WireType.Varint,
  string: WireType.LengthDelimited,
  message: WireType.LengthDelimited,
  bytes: WireType.LengthDelimited,
};

/** What is written of a field: nothing for an empty value. */
function itemsOf({ shape, kind }: Field<unknown>, value: unknown): readonly unknown[] {
  if (value === null || value === undefined) return [];
  if (shape === "list") return value as readonly unknown[];
  if (shape === "labels") return Object.entries(value as Plain).map(([key, text]) => ({ key, value: text }));
  const isEmpty = kind === "bytes" ? (value as Uint8Array).length === 0 : value === "" || value === 0 || value === false;
  return isEmpty ? [] : [value];
}

function writeItem(writer: BinaryWriter, { number, kind, message }: Field<unknown>, item: unknown): void {
  writer.tag(number, WIRE_TYPES[kind]);
  if (kind === "string") writer.string(item as string);
  else if (kind === "bool") writer.bool(item as boolean);
  else if (kind === "double") writer.double(item as number);
  else if (kind === "int64") writer.int64(item as number);
  else writer.bytes(kind === "bytes" ? (item as Uint8Array) : (message as Message<unknown>).encode(item));
}

function readItem(reader: BinaryReader, { kind, message }: Field<unknown>): unknown {
  if (kind === "string") return reader.string();
  if (kind === "bool") return reader.bool();
  if (kind === "double") return reader.double();
  if (kind === "int64") return safeInteger(reader.int64());
  const bytes = reader.bytes();
  return kind === "bytes" ? Buffer.from(bytes) : (message as Message<unknown>).decode(bytes);
}

function safeInteger(value: bigint | string): number {
  const number = Number(value);
  if (!Number.isSafeInteger(number)) throw new RangeError(`integer ${value} is larger than 2^53 - 1`);
  return number;
}

function emptyOf({ shape, kind }: Field<unknown>): unknown {
  if (shape === "list") return [];
  if (shape === "labels") return {};
  return { string: "", bool: false, double: 0, int64: 0, bytes: Buffer.alloc(0), message: null }[kind];
}

function addItem(
  value: Record<string, unknown>,
  { key, shape }: { readonly key: string; readonly shape: string },
  item: unknown,
) {
  if (shape === "single") value[key] = item;
  else if (shape === "list") (value[key] as unknown[]).push(item);
  else {
    const label = item as { readonly key: string; readonly value: string };
    Object.defineProperty(value[key], label.key, { value: label.value, enumerable: true, configurable: true, writable: true });
  }
}
