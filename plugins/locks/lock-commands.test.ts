import assert from "node:assert/strict";
import { test } from "node:test";
import { isMezError } from "../../core/errors/error.js";
import { type CreateLockInput, targetOf } from "./lock-commands.js";

const NOTHING = { user: undefined, role: undefined, agent: undefined, device: undefined, type: undefined, name: undefined };

for (const [flags, type, name] of [
  [{ user: "alice" }, "user", "alice"],
  [{ role: "on-call-prod" }, "role", "on-call-prod"],
  [{ agent: "web-01" }, "agent", "web-01"],
  [{ device: "3f0c" }, "device", "3f0c"],
  [{ type: "agent_identity", name: "ci-bot" }, "agent_identity", "ci-bot"],
  [{ type: "user", name: "alice" }, "user", "alice"],
] as const) {
  test(`${JSON.stringify(flags)} is ${type} ${name}`, () => assert.deepEqual(targetOf({ ...NOTHING, ...flags }), { type, name }));
}

for (const [flags, message] of [
  [{}, /^a lock needs a target; give --user, --role, --agent, --device, or --type with --name$/],
  [{ user: "alice", role: "dev" }, /^a lock has one target; give --user or --role, not both$/],
  [{ agent: "web-01", type: "user", name: "alice" }, /give --agent or --type=user, not both/],
  [{ user: "alice", type: "user", name: "alice" }, /give --user or --type=user, not both/],
  [{ type: "agent_identity" }, /--type and --name go together/],
  [{ name: "ci-bot" }, /--type and --name go together/],
  [{ user: "alice", name: "ci-bot" }, /--type and --name go together/],
] as const satisfies readonly (readonly [Partial<CreateLockInput>, RegExp])[]) {
  test(`refuses ${JSON.stringify(flags)}`, () => {
    assert.throws(
      () => targetOf({ ...NOTHING, ...flags }),
      (error) => isMezError(error, "INVALID_ARGUMENT") && message.test(error.message),
    );
  });
}
