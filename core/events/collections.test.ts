import assert from "node:assert/strict";
import { test } from "node:test";
import { CollectionRegistry, parseKindId } from "./collections.js";

const ROLES = { name: "roles", version: 1, visibleTo: () => true };

test("a collection may be asked for before it arrives, and is the same one after", () => {
  const registry = new CollectionRegistry();
  const roles = registry.of<string>(ROLES);
  assert.equal(roles.get("dev"), undefined);
  registry.apply([{ kind: "roles@1", key: "dev", value: "a" }]);
  assert.equal(roles.get("dev"), "a");
  assert.equal(roles.size, 1);
});

test("tells listeners of each change, in order, until they stop", () => {
  const registry = new CollectionRegistry();
  const heard: unknown[] = [];
  const stop = registry.of<string>(ROLES).onChange((key, value) => heard.push([key, value]));
  registry.apply([
    { kind: "roles@1", key: "dev", value: "a" },
    { kind: "roles@1", key: "dev", value: "b" },
    { kind: "roles@1", key: "dev" },
    { kind: "roles@1", key: "dev" },
  ]);
  stop();
  registry.apply([{ kind: "roles@1", key: "ops", value: "c" }]);
  assert.deepEqual(heard, [
    ["dev", "a"],
    ["dev", "b"],
    ["dev", undefined],
  ]);
});

test("a whole copy changes only what differs", () => {
  const registry = new CollectionRegistry();
  const roles = registry.byId("roles@1");
  roles.replace(
    new Map([
      ["gone", 1],
      ["same", 2],
      ["changed", 3],
    ]),
  );
  const heard: unknown[] = [];
  roles.onChange((key, value) => heard.push([key, value]));
  roles.replace(
    new Map([
      ["same", 2],
      ["changed", 4],
      ["new", 5],
    ]),
  );
  assert.deepEqual(heard, [
    ["gone", undefined],
    ["changed", 4],
    ["new", 5],
  ]);
});

for (const id of ["", "roles", "roles@", "roles@x", "../etc@1", "__proto__@1", "Roles@1"]) {
  test(`refuses "${id}" as the name of a collection`, () => assert.throws(() => parseKindId(id)));
}
