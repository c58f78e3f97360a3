import assert from "node:assert/strict";
import { chmodSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { isMezError } from "../errors/error.js";
import { claimDataDirectory } from "./data-directory.js";

function folder(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), "mezite-data-"));
  t.after(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

test("makes the folder with mode 0700", async (t) => {
  const path = join(folder(t), "state", "mezite");
  const release = await claimDataDirectory(path);
  assert.equal(statSync(path).mode & 0o777, 0o700);
  await release();
});

test("gives a folder to one process at a time", async (t) => {
  const path = folder(t);
  const release = await claimDataDirectory(path);
  await assert.rejects(claimDataDirectory(join(path, ".")), (error) => isMezError(error, "DATA_DIRECTORY_IN_USE"));
  await release();
  const again = await claimDataDirectory(path);
  await again();
});

test("refuses a folder that others can read", async (t) => {
  const path = folder(t);
  chmodSync(path, 0o755);
  await assert.rejects(
    claimDataDirectory(path),
    (error) => isMezError(error, "DATA_DIRECTORY_UNUSABLE") && error.message.includes("chmod 700"),
  );
});

test("says why a folder cannot be made", async (t) => {
  const file = join(folder(t), "file");
  writeFileSync(file, "");
  await assert.rejects(
    claimDataDirectory(join(file, "state")),
    (error) => isMezError(error, "DATA_DIRECTORY_UNUSABLE") && error.message.includes("is no folder"),
  );
});

test("gives up where no folder can be made", async () => {
  await assert.rejects(
    claimDataDirectory("/proc/mezite/state"),
    (error) => isMezError(error, "DATA_DIRECTORY_UNUSABLE") && error.message.includes("no such file or directory"),
  );
});
