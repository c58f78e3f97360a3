import assert from "node:assert/strict";
import { test } from "node:test";
import { isMezError } from "../../core/errors/error.js";
import { definePlugin } from "../../core/plugin/contract.js";
import { DATABASE } from "../../core/plugin/database.js";
import { field, message } from "../../core/plugin/message.js";
import { CLOCK } from "../../core/plugin/process.js";
import { rpcService } from "../../core/plugin/rpc-service.js";
import { entryOf, manifestOf } from "../fixtures/plugins.js";
import { startTestCluster } from "./test-cluster.js";

const Empty = message("Empty", {});
const Now = message("Now", { at: field.time(1), caller: field.string(2) });
const CLOCK_RPC = rpcService("acme.clock.v1.ClockService", {
  tell: { request: Empty, response: Now, permission: "clock:read" },
  wind: { request: Empty, response: Empty, permission: "clock:update" },
});

const clockPlugin = entryOf(
  manifestOf("clock", {
    runsIn: ["auth"],
    contributes: {
      rpc: ["acme.clock.v1.ClockService"],
      permissions: [
        { permission: "clock:read", grantedTo: ["session"] },
        { permission: "clock:update", grantedTo: [] },
      ],
      auditEvents: ["clock.wound"],
    },
  }),
  definePlugin({
    register(host) {
      host.rpc(CLOCK_RPC, (resolve) => ({
        tell: async (_, { caller }) => ({ at: resolve(CLOCK).now(), caller: caller.kind === "user" ? caller.name : "" }),
        wind: async () => {
          await resolve(DATABASE).transaction(async (tx) => tx.audit({ type: "clock.wound" }));
          return {};
        },
      }));
    },
  }),
);

test("boots a host with a plugin, whose calls have a caller, a permission, a clock and an audit log", async () => {
  const cluster = await startTestCluster({ plugins: [clockPlugin] });
  try {
    const alice = cluster.rpc(CLOCK_RPC.definition, { user: "alice" });
    const before = cluster.clock.now();
    assert.deepEqual(await alice.tell({}), { at: before, caller: "alice" });
    cluster.clock.advance(90);
    assert.deepEqual((await alice.tell({})).at, new Date(before.getTime() + 90_000));
    await assert.rejects(alice.wind({}), (error) => isMezError(error, "ACCESS_DENIED"));
    await cluster.rpc(CLOCK_RPC.definition).wind({});
    assert.deepEqual(
      cluster.audits.filter(({ type }) => type === "clock.wound" || type === "authz.denied").map(({ type }) => type),
      ["authz.denied", "clock.wound"],
    );
    const { code, stdout } = await cluster.mezctl(["plugins", "ls", "--format=json"]);
    assert.equal(code, 0);
    assert.match(stdout, /"id": "clock"/);
    await cluster.plugins.disable("clock");
    await assert.rejects(alice.tell({}), (error) => isMezError(error, "PLUGIN_NOT_ENABLED"));
  } finally {
    await cluster.stop();
  }
});
