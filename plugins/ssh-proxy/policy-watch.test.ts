import assert from "node:assert/strict";
import { EventEmitter, once } from "node:events";
import { test } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import { type Changed, concerns, PolicyWatch } from "./policy-watch.js";

/** A source that tells of what is emitted. */
function source() {
  const changes = new EventEmitter();
  return {
    tell: (name = "") => void changes.emit("change", name),
    onChange(listener: (name: string) => void) {
      changes.on("change", listener);
      return () => void changes.off("change", listener);
    },
  };
}

function watched() {
  const [nodes, roles] = [source(), source()];
  const rechecks = new EventEmitter();
  const watch = new PolicyWatch(nodes, [roles], (changed) => void rechecks.emit("recheck", changed));
  const next = async (): Promise<Changed> => ((await once(rechecks, "recheck")) as [Changed])[0];
  return { nodes, roles, watch, next };
}

test("names the nodes that changed in one turn, once, and begins anew with the next", async () => {
  const { nodes, next } = watched();
  for (const name of ["web-01", "web-02", "web-01"]) nodes.tell(name);
  const changed = await next();
  assert.deepEqual([...changed], ["web-01", "web-02"]);
  assert.deepEqual([concerns(changed, "web-02"), concerns(changed, "web-03")], [true, false]);
  nodes.tell("web-03");
  assert.deepEqual([...(await next())], ["web-03"]);
});

for (const order of [["nodes", "roles"], ["roles", "nodes"], ["roles"]] as const) {
  test(`a change of ${order.join(" and ")} concerns every session`, async () => {
    const bed = watched();
    for (const each of order) bed[each].tell("web-01");
    const changed = await bed.next();
    assert.equal(changed, "all");
    assert.ok(concerns(changed, "web-99"));
    bed.nodes.tell("web-02");
    assert.deepEqual([...(await bed.next())], ["web-02"]);
  });
}

test("rechecks nothing once it has been stopped", async () => {
  const nodes = source();
  const watch = new PolicyWatch(nodes, [], () => assert.fail("rechecked"));
  nodes.tell("web-01");
  watch.stop();
  nodes.tell("web-02");
  await nextTurn();
});
