import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { type SpoolEntry, SpoolFolder } from "./spool-folder.js";

const ENTRY: SpoolEntry = {
  ...{ id: "one", sessionId: "one", channel: 0, user: "eve", login: "deploy", node: "web-01", command: null, by: "node" },
  ...{ startedAt: "2026-01-02T00:00:00.000Z", processId: "1.0", end: null },
};

test("leaves nothing behind when a description cannot be written", (t) => {
  const path = folder(t);
  mkdirSync(join(path, "one.json"));
  assert.throws(() => new SpoolFolder(path).describe(ENTRY));
  assert.deepEqual(readdirSync(path), ["one.json"]);
});

test("removes a recording with everything that belongs to it", (t) => {
  const path = folder(t);
  const spool = new SpoolFolder(path);
  spool.describe(ENTRY);
  for (const name of ["one.cast", "one.json.new", "two.cast"]) writeFileSync(join(path, name), "");
  spool.remove("one");
  assert.deepEqual(readdirSync(path), ["two.cast"]);
});

// --- internal ---

function folder(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), "mezite-spool-"));
  t.after(() => rmSync(path, { recursive: true, force: true }));
  return path;
}
