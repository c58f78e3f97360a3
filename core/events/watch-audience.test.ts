import assert from "node:assert/strict";
import { test } from "node:test";
import type { Caller } from "../plugin/caller.js";
import type { CollectionKind } from "../plugin/collection.js";
import { WatchAudience } from "./watch-audience.js";

function node(name: string): Caller {
  return { kind: "agent", id: name, name, role: "node", certificateSerial: "1", certificateExpiresAt: new Date(0) };
}

function nameOf(caller: Caller): string {
  return caller.kind === "agent" ? caller.name : "";
}

/** The proxy sees all entries, a node its own. */
function kindOf(asked: string[] = []): CollectionKind<unknown> {
  return {
    name: "nodes",
    version: 1,
    keysOf: (caller) => (nameOf(caller) === "proxy" ? "all" : [nameOf(caller)]),
    visibleTo: (caller, key) => {
      asked.push(nameOf(caller));
      return nameOf(caller) === "proxy" || nameOf(caller) === key;
    },
  };
}

function audienceOf(...names: readonly string[]) {
  const audience = new WatchAudience<string>();
  const heard: string[] = [];
  const leave = new Map(
    names.map((name) => [name, audience.add({ caller: node(name), push: (message) => void heard.push(`${name} ${message}`) })]),
  );
  return { audience, heard, leave };
}

test("asks those alone whom a change can concern", () => {
  const asked: string[] = [];
  const { audience, heard } = audienceOf("proxy", "web-01", "web-02");
  audience.tell("nodes@1", kindOf(asked), "web-01", () => "a");
  assert.deepEqual(asked, ["proxy", "web-01"]);
  assert.deepEqual(heard, ["proxy a", "web-01 a"]);
});

test("asks everybody about a kind that does not say whom it concerns", () => {
  const { audience, heard } = audienceOf("proxy", "web-01");
  const kind: CollectionKind<unknown> = { name: "roles", version: 1, visibleTo: (caller) => nameOf(caller) !== "proxy" };
  audience.tell("roles@1", kind, "dev", () => "a");
  assert.deepEqual(heard, ["web-01 a"]);
});

test("knows who came and who left after the first change of a kind", () => {
  const kind = kindOf();
  const { audience, heard, leave } = audienceOf("proxy", "web-01");
  audience.tell("nodes@1", kind, "web-02", () => "a");
  audience.add({ caller: node("web-02"), push: (message) => void heard.push(`web-02 ${message}`) });
  leave.get("proxy")?.();
  leave.get("web-01")?.();
  audience.tell("nodes@1", kind, "web-02", () => "b");
  audience.tell("nodes@1", kind, "web-01", () => "c");
  assert.deepEqual(heard, ["proxy a", "web-02 b"]);
});

test("two streams of one caller leave one by one", () => {
  const kind = kindOf();
  const { audience, heard, leave } = audienceOf("web-01");
  audience.add({ caller: node("web-01"), push: (message) => void heard.push(`second ${message}`) });
  audience.tell("nodes@1", kind, "web-01", () => "a");
  leave.get("web-01")?.();
  audience.tell("nodes@1", kind, "web-01", () => "b");
  assert.deepEqual(heard, ["web-01 a", "second a", "second b"]);
});

test("a kind that is published again decides anew", () => {
  const { audience, heard } = audienceOf("web-01");
  audience.tell("nodes@1", kindOf(), "web-02", () => "a");
  audience.tell("nodes@1", { name: "nodes", version: 1, visibleTo: () => true }, "web-02", () => "b");
  assert.deepEqual(heard, ["web-01 b"]);
});
