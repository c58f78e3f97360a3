import assert from "node:assert/strict";
import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { isMezError } from "../../core/errors/error.js";
import { claimDestination } from "./destination.js";

let above: string;
let path: string;

beforeEach(() => {
  above = mkdtempSync(join(tmpdir(), "mezite-destination-"));
  path = join(above, "certificates");
});
afterEach(() => rmSync(above, { recursive: true, force: true }));

test("makes a folder for this process alone, and gives it back", async () => {
  const destination = await claimDestination(path, null);
  assert.equal(statSync(path).mode & 0o777, 0o700);
  await assert.rejects(claimDestination(path, null), (error) => isMezError(error, "DESTINATION_IN_USE"));
  await destination.release();
  await (await claimDestination(path, null)).release();
});

test("makes the folders above it, too", async () => {
  const deep = join(path, "of", "this", "machine");
  await (await claimDestination(deep, null)).release();
  for (const folder of [path, deep]) assert.equal(statSync(folder).mode & 0o777, 0o700);
});

test("refuses at once where no folder can be made, and where a file is", { timeout: 120_000 }, async () => {
  for (const place of ["/proc/mezite", "/proc/mezite/certificates"])
    await assert.rejects(claimDestination(place, null), unusable(/no such file or directory/));
  writeFileSync(path, "");
  for (const place of [path, join(path, "below")]) await assert.rejects(claimDestination(place, null), unusable(/./));
});

test("refuses a place where others can put another folder", async () => {
  mkdirSync(path, { mode: 0o700 });
  chmodSync(above, 0o777);
  await assert.rejects(claimDestination(path, null), unusable(/anybody can write to/));
  chmodSync(above, 0o1777);
  await (await claimDestination(path, null)).release();
});

test("refuses a folder of another user, and one in such a folder", async (t) => {
  const own = process.getuid?.() ?? 0;
  if (own !== 0) return t.diagnostic("needs root: a folder cannot be given away otherwise");
  mkdirSync(path, { mode: 0o700 });
  chownSync(path, 65534, 65534);
  await assert.rejects(claimDestination(path, null), unusable(/it belongs to user id 65534/));
  chownSync(path, 0, 0);
  for (const mode of [0o755, 0o1777]) {
    chownSync(above, 65534, 65534);
    chmodSync(above, mode);
    await assert.rejects(claimDestination(path, null), unusable(/belongs to user id 65534, who could put another folder there/));
  }
});

// --- internal ---

function unusable(message: RegExp): (error: unknown) => boolean {
  return (error) => isMezError(error, "DESTINATION_UNUSABLE") && message.test(error.message);
}
