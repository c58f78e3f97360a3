import assert from "node:assert/strict";
import { PassThrough } from "node:stream";
import { test } from "node:test";
import type { NodeEntry } from "../nodes/api.js";
import type { CertifiedPerson } from "./certificate-gate.js";
import { ProxySession, type ProxySessionParts } from "./proxy-session.js";

for (const [when, settle] of [
  ["at this moment", async () => undefined],
  ["a while ago", () => new Promise(setImmediate)],
] as const)
  test(`is over at once, and lets its client go, when the node went away ${when}`, async () => {
    const [stream, near] = [new PassThrough().destroy(), new PassThrough()];
    await settle();
    await newSession().carry({ stream: near, close: () => near.destroy() }, stream);
    assert.ok(near.destroyed);
  });

test("a node that speaks with the client has its time to say why, and is cut then, once", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const [stream, near, reasons] = [new PassThrough(), new PassThrough(), [] as string[]];
  const session = newSession({ farewellMs: 500, onEnd: (reason) => void reasons.push(reason) });
  const over = session.carry({ stream: near, close: () => near.destroy() }, stream);
  session.end("locked");
  session.end("said twice");
  t.mock.timers.tick(499);
  assert.deepEqual([session.signal.aborted, stream.destroyed, near.destroyed, reasons], [false, false, false, []]);
  t.mock.timers.tick(1);
  assert.deepEqual([session.signal.aborted, stream.destroyed, near.destroyed, reasons], [true, true, true, ["locked"]]);
  await over;
});

for (const [what, isGone, told] of [
  ["is told when it has not said why by itself", false, ["locked"]],
  ["is not told when it has ended the session", true, []],
] as const)
  test(`a node ${what}`, async (t) => {
    t.mock.timers.enable({ apis: ["setTimeout"] });
    const [stream, near, heard] = [new PassThrough(), new PassThrough(), [] as string[]];
    const session = newSession({ farewellMs: 500, tellNode: (reason) => void heard.push(reason) });
    const over = session.carry({ stream: near, close: () => near.destroy() }, stream);
    session.end("locked");
    assert.deepEqual(heard, []);
    if (isGone) stream.destroy();
    await new Promise(setImmediate);
    t.mock.timers.tick(499);
    assert.deepEqual(heard, told);
    t.mock.timers.tick(1);
    await over;
  });

for (const [what, farewellMs, isCarried, end] of [
  ["a session that has not begun", 500, false, "end"],
  ["a session that can be told the reason", 0, true, "end"],
  ["a session of a proxy that goes", 500, true, "cut"],
] as const)
  test(`${what} ends at once`, () => {
    const [stream, near, reasons] = [new PassThrough(), new PassThrough(), [] as string[]];
    const session = newSession({ farewellMs, onEnd: (reason) => void reasons.push(reason) });
    if (isCarried) void session.carry({ stream: near, close: () => near.destroy() }, stream);
    session[end]("locked");
    assert.deepEqual(
      [session.signal.aborted, stream.destroyed, near.destroyed, reasons],
      [true, isCarried, isCarried, ["locked"]],
    );
  });

// --- internal ---

function newSession(more: Partial<ProxySessionParts> = {}): ProxySession {
  const [clientAddress, startedAt] = ["192.0.2.1", new Date(0)];
  const person = { user: "ada", roles: [] as readonly string[] } as CertifiedPerson;
  const target = { name: "web-01" } as NodeEntry;
  return new ProxySession({
    person,
    target,
    factor: null,
    clientAddress,
    startedAt,
    tellNode: () => undefined,
    farewellMs: 0,
    onEnd: () => undefined,
    ...more,
  });
}
