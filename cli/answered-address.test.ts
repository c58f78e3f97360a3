import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { AnsweredAddress } from "./answered-address.js";

const ADDRESSES = ["a:1", "b:1", "c:1"];

function folderOf(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "mezite-answered-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

test("remembers who answered, for one list of addresses, and nothing while the first one answers", (t) => {
  const folder = folderOf(t);
  new AnsweredAddress(folder, ADDRESSES).note("a:1");
  assert.equal(existsSync(join(folder, "answered")), false);
  new AnsweredAddress(folder, ADDRESSES).note("b:1");
  assert.equal(new AnsweredAddress(folder, ADDRESSES).last(), "b:1");
  assert.equal(new AnsweredAddress(folder, ["a:1", "b:1"]).last(), null);
  const [file = ""] = readdirSync(join(folder, "answered"));
  assert.equal(statSync(join(folder, "answered", file)).mode & 0o777, 0o600);
  new AnsweredAddress(folder, ADDRESSES).note("a:1");
  assert.deepEqual(readdirSync(join(folder, "answered")), []);
});

test("tells of none that is not on the list, whatever the file says or cannot be read", (t) => {
  const folder = folderOf(t);
  new AnsweredAddress(folder, ADDRESSES).note("b:1");
  const file = join(folder, "answered", readdirSync(join(folder, "answered"))[0] ?? "");
  for (const text of ["evil:1\n", "", "b:1\nevil:1\n"]) {
    writeFileSync(file, text);
    assert.equal(new AnsweredAddress(folder, ADDRESSES).last(), null, text);
  }
  const nowhere = new AnsweredAddress(file, ADDRESSES);
  nowhere.note("b:1");
  assert.equal(nowhere.last(), "b:1", "for this run");
});
