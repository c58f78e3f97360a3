import assert from "node:assert/strict";
import { PassThrough } from "node:stream";
import { test } from "node:test";
import type { NodeEntry } from "../nodes/api.js";
import type { CertifiedPerson } from "./certificate-gate.js";
import { ProxySession } from "./proxy-session.js";

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

// --- internal ---

function newSession(): ProxySession {
  const [clientAddress, startedAt] = ["192.0.2.1", new Date(0)];
  const person = { user: "ada", roles: [] as readonly string[] } as CertifiedPerson;
  const target = { name: "web-01" } as NodeEntry;
  return new ProxySession({ person, target, factor: null, clientAddress, startedAt, farewellMs: 0, onEnd: () => undefined });
}
