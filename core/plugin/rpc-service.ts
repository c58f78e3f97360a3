import type { Permission } from "./caller.js";
import { field, type Message, message } from "./message.js";
import type { RpcMethod, RpcService, UnaryRpcMethod } from "./rpc.js";

/** A method of a service: one request, one response. */
export interface UnaryMethod<Request, Response> {
  readonly request: Message<Request>;
  readonly response: Message<Response>;
  /** Who may call it; `public` needs no credentials at all. */
  readonly permission: Permission | "public";
}

/**
 * A gRPC service made of `message()`s, without a `.proto` file: what `Registrar.rpc` and `CommandContext.rpc` take, and the
 * descriptor that commands described in the manifest are built from.
 * @param name With package and version: `acme.freezes.v1.FreezeService`.
 * @param methods Keys in camel case; `createFreeze` is `CreateFreeze` in gRPC.
 */
export function rpcService<const Methods extends Readonly<Record<string, UnaryMethod<unknown, unknown>>>>(
  name: string,
  methods: Methods,
): RpcService<DefinitionOf<Methods>> & { readonly descriptor: Buffer } {
  const all = Object.entries<UnaryMethod<unknown, unknown>>(methods);
  const definition = Object.fromEntries(
    all.map(([key, { request, response }]): [string, RpcMethod<unknown, unknown>] => [
      key,
      {
        path: `/${name}/${pascalCase(key)}`,
        requestStream: false,
        responseStream: false,
        requestSerialize: (value) => request.encode(value),
        requestDeserialize: (bytes) => request.decode(bytes),
        responseSerialize: (value) => response.encode(value),
        responseDeserialize: (bytes) => response.decode(bytes),
      },
    ]),
  );
  const permissions = Object.fromEntries(all.map(([key, { permission }]) => [key, permission]));
  return { name, definition, permissions, descriptor: descriptorOf(name, all) } as never;
}

// --- internal ---

type DefinitionOf<Methods> = {
  readonly [K in keyof Methods]: Methods[K] extends UnaryMethod<infer Request, infer Response>
    ? UnaryRpcMethod<Request, Response>
    : never;
};

// The part of google/protobuf/descriptor.proto that describes what `message()` can say.
const FieldDescriptor = message("FieldDescriptorProto", {
  name: field.string(1),
  number: field.integer(3),
  label: field.integer(4),
  type: field.integer(5),
  typeName: field.string(6),
  jsonName: field.string(10),
});
const MessageOptions = message("MessageOptions", { mapEntry: field.bool(7) });
const NestedDescriptor = message("DescriptorProto", {
  name: field.string(1),
  fields: field.messages(2, FieldDescriptor),
  options: field.message(7, MessageOptions),
});
const MessageDescriptor = message("DescriptorProto", {
  name: field.string(1),
  fields: field.messages(2, FieldDescriptor),
  nested: field.messages(3, NestedDescriptor),
});
const MethodDescriptor = message("MethodDescriptorProto", {
  name: field.string(1),
  inputType: field.string(2),
  outputType: field.string(3),
});
const ServiceDescriptor = message("ServiceDescriptorProto", {
  name: field.string(1),
  methods: field.messages(2, MethodDescriptor),
});
const FileDescriptor = message("FileDescriptorProto", {
  name: field.string(1),
  package: field.string(2),
  dependencies: field.strings(3),
  messages: field.messages(4, MessageDescriptor),
  services: field.messages(6, ServiceDescriptor),
  syntax: field.string(12),
});
const FileDescriptorSet = message("FileDescriptorSet", { files: field.messages(1, FileDescriptor) });

const TYPES = { double: 1, int64: 3, bool: 8, string: 9, message: 11, bytes: 12 } as const;
const LABELS = { single: 1, list: 3, labels: 3 } as const;
const TIMESTAMP_FILE = "google/protobuf/timestamp.proto";

/** A `FileDescriptorSet` with the service and all that its messages use. */
function descriptorOf(name: string, methods: readonly (readonly [string, UnaryMethod<unknown, unknown>])[]): Buffer {
  const packageName = name.slice(0, name.lastIndexOf("."));
  const found = new Map<string, Message<unknown>>();
  const visit = (each: Message<unknown>): void => {
    const known = found.get(each.name);
    if (known !== undefined && known !== each)
      throw new TypeError(`service ${name} uses two messages with the name ${each.name}`);
    if (known !== undefined || each.fullName !== null) return;
    found.set(each.name, each);
    for (const { shape, message: inner } of Object.values(each.fields)) if (shape !== "labels" && inner) visit(inner);
  };
  for (const [, { request, response }] of methods) for (const each of [request, response]) visit(each);
  const typeOf = (each: Message<unknown>): string => `.${each.fullName ?? `${packageName}.${each.name}`}`;
  const service = {
    name: name.slice(packageName.length + 1),
    methods: methods.map(([key, { request, response }]) => ({
      name: pascalCase(key),
      inputType: typeOf(request),
      outputType: typeOf(response),
    })),
  };
  const own = {
    name: `${packageName.replaceAll(".", "/")}.proto`,
    package: packageName,
    dependencies: [TIMESTAMP_FILE],
    messages: [...found.values()].map((each) => describe(each, typeOf)),
    services: [service],
    syntax: "proto3",
  };
  return FileDescriptorSet.encode({ files: [timestampFile(), own] });
}

function describe(each: Message<unknown>, typeOf: (each: Message<unknown>) => string) {
  const fields = Object.entries(each.fields);
  return {
    name: each.name,
    fields: fields.map(([key, { number, kind, shape, message: inner }]) => ({
      name: snakeCase(key),
      number,
      label: LABELS[shape],
      type: TYPES[kind],
      typeName: shape === "labels" ? `${typeOf(each)}.${entryName(key)}` : inner ? typeOf(inner) : "",
      jsonName: key,
    })),
    nested: fields.flatMap(([key, { shape }]) => (shape === "labels" ? [labelsEntry(key)] : [])),
  };
}

function labelsEntry(key: string) {
  const text = (name: string, number: number) => ({ ...single(name, number, TYPES.string), jsonName: name });
  return { name: entryName(key), fields: [text("key", 1), text("value", 2)], options: { mapEntry: true } };
}

function timestampFile() {
  const fields = [single("seconds", 1, TYPES.int64), single("nanos", 2, INT32)];
  return {
    name: TIMESTAMP_FILE,
    package: "google.protobuf",
    dependencies: [],
    messages: [{ name: "Timestamp", fields, nested: [] }],
    services: [],
    syntax: "proto3",
  };
}

const INT32 = 5;

function single(name: string, number: number, type: number) {
  return { name, number, label: LABELS.single, type, typeName: "", jsonName: name };
}

function pascalCase(key: string): string {
  return `${key.charAt(0).toUpperCase()}${key.slice(1)}`;
}

function snakeCase(key: string): string {
  return key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

/** As protobuf's compiler names the entry of a map field: `label_values` is `LabelValuesEntry`. */
function entryName(key: string): string {
  return `${pascalCase(key)}Entry`;
}
