import assert from "node:assert/strict";
import { test } from "node:test";
import { LiveCollection } from "../../core/events/collections.js";
import type { Collection } from "../../core/plugin/collection.js";
import type { Agent } from "./agent.js";
import { AgentDirectory } from "./agent-directory.js";

function agent(id: string, name: string, role: Agent["role"] = "node"): Agent {
  return { id, name, role } as Agent;
}

function directoryOf(...agents: readonly Agent[]) {
  const collection = new LiveCollection();
  for (const each of agents) collection.set(each.id, each);
  return { collection, directory: new AgentDirectory(collection as unknown as Collection<Agent>) };
}

test("knows who was there before it, and who comes and goes after", () => {
  const { collection, directory } = directoryOf(agent("1", "web-02"), agent("2", "edge", "proxy"));
  collection.set("3", agent("3", "web-01"));
  assert.deepEqual(
    directory.all("node").map(({ name }) => name),
    ["web-01", "web-02"],
  );
  assert.equal(directory.find("proxy", "edge")?.id, "2");
  assert.equal(directory.count, 3);
  collection.set("1", undefined);
  assert.equal(directory.find("node", "web-02"), null);
  assert.deepEqual([directory.count, directory.all("node").length], [2, 1]);
});

test("finds the agent that has a name now, in whatever order the former one goes", () => {
  for (const goesFirst of [true, false]) {
    const { collection, directory } = directoryOf(agent("old", "web-01"));
    if (goesFirst) collection.set("old", undefined);
    collection.set("new", agent("new", "web-01"));
    if (!goesFirst) collection.set("old", undefined);
    assert.equal(directory.find("node", "web-01")?.id, "new");
  }
});

test("finds an agent as it was changed last", () => {
  const { collection, directory } = directoryOf(agent("1", "web-01"));
  const changed = { ...agent("1", "web-01"), hostname: "web-01.example.com" };
  collection.set("1", changed);
  assert.equal(directory.find("node", "web-01"), changed);
  assert.equal(directory.all("node")[0], changed);
});

test("follows nothing any more once it is disposed of", () => {
  const { collection, directory } = directoryOf();
  directory.dispose();
  collection.set("1", agent("1", "web-01"));
  assert.equal(directory.find("node", "web-01"), null);
});
