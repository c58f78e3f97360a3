import assert from "node:assert/strict";
import { test } from "node:test";
import { CollectionRegistry, kindId } from "../../core/events/collections.js";
import { NODES } from "../nodes/api.js";
import { DEVICES_COLLECTION, MACHINE_INSTANCES_COLLECTION, MACHINES_COLLECTION } from "../roles/api.js";
import { parseLockTarget } from "./lock.js";
import { noticeFor } from "./lock-notice.js";

const ID = "0197c1f2-8a54-7cc0-b3a1-5c2f8e3f0b11";

for (const [type, name, expected] of [
  ["user", "anybody", /^$/],
  ["agent", "web-09", /^no node named web-09 is in the inventory/],
  ["device", ID, /^$/],
  ["device", ID.replace("b11", "b1"), new RegExp(`^warning: no device with id .* is enrolled.*did you mean ${ID}\\?$`)],
  ["device", "lost", /^warning: no device with id lost is enrolled.*mezctl devices ls shows the ids$/],
  ["device", "laptop", new RegExp(`locked by its id, and laptop is the name of ${ID} \\(of alice\\)$`)],
  ["agent_identity", "ci-bot", /^$/],
  ["agent_identity", "ci-bto", /^warning: there is no agent identity ci-bto, .* did you mean ci-bot\?$/],
  ["agent_identity_instance", ID, /^$/],
  ["agent_identity_instance", "ci-bot", /^warning: there is no instance with id ci-bot, .*status shows the ids$/],
] as const) {
  test(`whoever locks the ${type} ${name} is told ${expected.source}`, () => {
    const registry = new CollectionRegistry();
    const value = { user: "alice", name: "laptop", isRevoked: false };
    registry.apply([{ kind: kindId(DEVICES_COLLECTION), key: ID, value }]);
    registry.apply([{ kind: kindId(MACHINES_COLLECTION), key: "identity/ci-bot", value: { roles: [] } }]);
    registry.apply([{ kind: kindId(MACHINE_INSTANCES_COLLECTION), key: ID, value: {} }]);
    const inventory = {
      nodes: registry.of(NODES),
      devices: registry.of(DEVICES_COLLECTION),
      machines: registry.of(MACHINES_COLLECTION),
      instances: registry.of(MACHINE_INSTANCES_COLLECTION),
    };
    assert.match(noticeFor(parseLockTarget(type, name), inventory), expected);
  });
}
