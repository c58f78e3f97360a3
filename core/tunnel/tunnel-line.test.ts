import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { tcpPair } from "../../test/fixtures/tcp-pair.js";
import { TunnelLine } from "./tunnel-line.js";

test("whoever waits begins with all that came, also while it waited", async (t) => {
  const line = new TunnelLine({ room: 10, underWay: 1 }, () => undefined);
  const [first, second] = [await tcpPair(t), await tcpPair(t)];
  const begun: (() => void)[] = [];
  line.wait(first.far, Buffer.from("x"), (over) => begun.push(over));
  const hasBegun = new Promise<void>((resolve) => line.wait(second.far, Buffer.from("hel"), () => resolve()));
  second.near.write("lo");
  await once(second.far, "readable");
  assert.equal(begun.length, 1);
  begun[0]?.();
  await hasBegun;
  assert.equal(String(second.far.read()), "hello");
});

test("whoever gives up leaves the line, and nothing is begun for them", async (t) => {
  const line = new TunnelLine({ room: 10, underWay: 1 }, () => undefined);
  const [first, second] = [await tcpPair(t), await tcpPair(t)];
  line.wait(first.far, Buffer.from("x"), () => undefined);
  line.wait(second.far, Buffer.from("x"), () => assert.fail("it had given up"));
  second.near.end();
  await once(second.far, "close");
  assert.equal(line.length, 0);
  first.far.destroy();
  await once(first.far, "close");
});

test("who wait are closed when the proxy takes no new agents, and when there are too many or too much", async (t) => {
  const refused: unknown[] = [];
  const line = new TunnelLine({ room: 2, underWay: 1 }, (socket, why) => refused.push([socket, why]));
  const [first, second, third, fourth] = [await tcpPair(t), await tcpPair(t), await tcpPair(t), await tcpPair(t)];
  for (const { far } of [first, second, third, fourth]) line.wait(far, Buffer.from("x"), () => undefined);
  await once(fourth.far, "close");
  assert.deepEqual(refused, [[fourth.far, "no room to wait in"]]);
  third.near.write(Buffer.alloc(100_000));
  await once(third.far, "close");
  assert.equal(line.length, 1);
  line.closeAll();
  await once(second.far, "close");
  assert.equal(line.length, 0);
  assert.equal(first.far.destroyed, false);
});
