import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { CollectionRegistry } from "../../core/events/collections.js";
import type { LiveSession } from "../../core/plugin/live-sessions.js";
import { ProcessLiveSessions } from "../../core/sessions/live-sessions.js";
import { SESSION_TERMINATIONS, type SessionTermination } from "./api.js";
import { SessionTerminator } from "./session-terminator.js";

function make(t: TestContext) {
  const registry = new CollectionRegistry();
  const live = new ProcessLiveSessions();
  const ends: string[] = [];
  const terminator = new SessionTerminator(registry.of(SESSION_TERMINATIONS), live);
  t.after(() => terminator.dispose());
  return {
    live,
    ends,
    terminator,
    begin: (id: string, where: string) => live.add({ id, end: (reason) => void ends.push(`${where}: ${reason}`) } as LiveSession),
    say: (id: string, value?: SessionTermination) => registry.apply([{ kind: "session-terminations@1", key: id, value }]),
  };
}

const word = (reason: string): SessionTermination => ({ reason, by: "admin", at: "2026-03-01T00:00:00.000Z" });

test("ends a session at the proxy and at the node, and no other", async (t) => {
  const { terminator, begin, say, ends } = make(t);
  await terminator.start();
  begin("a", "proxy");
  begin("a", "node");
  begin("b", "node");
  say("a", word("maintenance"));
  assert.deepEqual(ends, ["proxy: session terminated by admin: maintenance", "node: session terminated by admin: maintenance"]);
  say("a");
  assert.equal(ends.length, 2);
});

test("ends a session that begins after the word has come, or was there before the plugin", async (t) => {
  const { terminator, begin, say, ends } = make(t);
  say("a", word(""));
  begin("a", "proxy");
  await terminator.start();
  begin("a", "node");
  assert.deepEqual(ends, ["proxy: session terminated by admin", "node: session terminated by admin"]);
});

test("ends nothing after it was disposed", async (t) => {
  const { terminator, begin, say, ends } = make(t);
  await terminator.start();
  await terminator.dispose();
  begin("a", "node");
  say("a", word(""));
  assert.deepEqual(ends, []);
});
