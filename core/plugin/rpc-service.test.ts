import assert from "node:assert/strict";
import { test } from "node:test";
import { createFileRegistry, fromBinary, fromJson, type JsonValue, toBinary, toJson } from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { field, message } from "./message.js";
import { rpcService } from "./rpc-service.js";

const Part = message("Part", { name: field.string(1), at: field.time(2) });
const All = message("All", {
  text: field.string(1),
  flag: field.bool(2),
  count: field.integer(3),
  ratio: field.number(4),
  raw: field.bytes(5),
  startedAt: field.time(6),
  part: field.message(7, Part),
  words: field.strings(8),
  parts: field.messages(9, Part),
  nodeLabels: field.labels(100),
});
const SERVICE = rpcService("acme.things.v1.ThingService", {
  getAll: { request: Part, response: All, permission: "thing:read" },
});

const FULL = {
  text: "naïve",
  flag: true,
  count: -9_007_199_254_740_991,
  ratio: 0.5,
  raw: Buffer.from([0, 255]),
  startedAt: new Date("1969-12-31T23:59:59.250Z"),
  part: { name: "p", at: null },
  words: ["a", ""],
  parts: [{ name: "", at: new Date("2026-01-02T03:04:05.678Z") }],
  nodeLabels: { env: "prod", __proto__x: "y" },
};
const EMPTY = {
  ...{ text: "", flag: false, count: 0, ratio: 0, raw: Buffer.alloc(0), startedAt: null, part: null },
  ...{ words: [], parts: [], nodeLabels: {} },
};

for (const [name, value] of [
  ["a full one", FULL],
  ["an empty one", EMPTY],
] as const) {
  test(`reads what it wrote: ${name}`, () => assert.deepEqual(All.decode(All.encode(value)), value));
}

test("writes what protobuf reads by the descriptor, and reads what protobuf writes", () => {
  const registry = createFileRegistry(fromBinary(FileDescriptorSetSchema, SERVICE.descriptor));
  const schema = registry.getService("acme.things.v1.ThingService")?.methods[0]?.output;
  assert.ok(schema);
  const json = toJson(schema, fromBinary(schema, All.encode(FULL)), { registry }) as Record<string, JsonValue>;
  assert.equal(json.startedAt, "1969-12-31T23:59:59.250Z");
  assert.equal(json.count, "-9007199254740991");
  assert.deepEqual(json.nodeLabels, FULL.nodeLabels);
  assert.deepEqual(All.decode(toBinary(schema, fromJson(schema, json, { registry }))), FULL);
});

test("passes over fields that it does not know, and over those of another kind", () => {
  const newer = message("Part", { name: field.integer(1), extra: field.strings(7) });
  assert.deepEqual(Part.decode(newer.encode({ name: 5, extra: ["x"] })), { name: "", at: null });
});

test("names the methods as gRPC does", () => {
  assert.equal(SERVICE.definition.getAll.path, "/acme.things.v1.ThingService/GetAll");
});

test("refuses two fields with one number, two messages with one name, and numbers that JavaScript cannot hold", () => {
  assert.throws(() => message("Twice", { a: field.string(1), b: field.string(1) }), /two fields with one number/);
  const other = message("Part", {});
  assert.throws(
    () => rpcService("a.v1.S", { get: { request: Part, response: other, permission: "public" } }),
    /two messages with the name Part/,
  );
  assert.throws(() => message("N", { n: field.integer(1) }).decode(Buffer.from("08ffffffffffffffff7f", "hex")), RangeError);
});
