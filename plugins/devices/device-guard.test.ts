import assert from "node:assert/strict";
import { test } from "node:test";
import type { Collection } from "../../core/plugin/collection.js";
import type { DeviceEntry } from "../roles/api.js";
import { DeviceGuard } from "./device-guard.js";

const ENTRIES = new Map<string, DeviceEntry>([
  ["d1", { user: "alice", name: "laptop", isRevoked: false }],
  ["d2", { user: "alice", name: "old laptop", isRevoked: true }],
]);
const devices: Collection<DeviceEntry> = {
  get: (id) => ENTRIES.get(id),
  entries: () => ENTRIES.entries(),
  values: () => ENTRIES.values(),
  size: ENTRIES.size,
  onChange: () => () => {},
};

for (const [what, subject, message] of [
  ["nobody's device", { user: "alice" }, null],
  ["a good device", { user: "alice", device: "d1" }, null],
  ["a device alone", { device: "d1" }, null],
  ["a revoked one", { user: "alice", device: "d2" }, "device old laptop was revoked by an administrator"],
  ["one that was removed", { user: "alice", device: "d3" }, "your device was removed from this cluster; log in again"],
  ["somebody else's", { user: "bob", device: "d1" }, "the device is somebody else's; log in again"],
] as const)
  test(`${what}: ${message ?? "no objection"}`, () => {
    assert.equal(new DeviceGuard(devices).refusal(subject)?.message ?? null, message);
  });
