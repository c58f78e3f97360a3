import assert from "node:assert/strict";
import { chmod, chown, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { isMezError } from "../../../core/errors/error.js";
import { readKeyFile, readOrCreateKeyFile } from "./key-file.js";

let folder: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), "mezite-key-file-"));
});
after(() => rm(folder, { recursive: true, force: true }));

test("makes a file of 32 random bytes that only its owner can use", async () => {
  const path = join(folder, "new.key");
  const made = await readOrCreateKeyFile(path);
  assert.equal(made.length, 32);
  assert.equal((await stat(path)).mode & 0o777, 0o600);
  assert.equal(await readFile(path, "latin1"), `${made.toString("hex")}\n`);
  assert.deepEqual(await readOrCreateKeyFile(path), made);
});

test("reads the same bytes when many make it at once, and leaves nothing else behind", async () => {
  const inner = await mkdtemp(join(folder, "many-"));
  const keys = await Promise.all(Array.from({ length: 16 }, () => readOrCreateKeyFile(join(inner, "ca.key"))));
  assert.equal(new Set(keys.map((key) => key.toString("hex"))).size, 1);
  assert.deepEqual(await readdir(inner), ["ca.key"]);
});

test("finds no file where there is none", async () => {
  assert.equal(await readKeyFile(join(folder, "absent.key")), null);
});

for (const mode of [0o640, 0o604, 0o620, 0o666, 0o601]) {
  test(`refuses mode 0${mode.toString(8)}`, async () => {
    const path = join(folder, `${mode}.key`);
    await writeFile(path, `${"ab".repeat(32)}\n`);
    await chmod(path, mode);
    await assert.rejects(readOrCreateKeyFile(path), (error) => isMezError(error, "KEY_FILE_INVALID"));
  });
}

for (const text of [
  "",
  "\n",
  "ab",
  `${"ab".repeat(33)}\n`,
  `${"AB".repeat(32)}\n`,
  `${"zz".repeat(32)}\n`,
  `${"ab".repeat(32)}\n\n`,
]) {
  test(`refuses the content ${JSON.stringify(text.slice(0, 12))} of ${text.length} characters`, async () => {
    const path = join(folder, "content.key");
    await writeFile(path, text, { mode: 0o600 });
    await assert.rejects(readOrCreateKeyFile(path), (error) => isMezError(error, "KEY_FILE_INVALID"));
    assert.equal(await readFile(path, "latin1"), text);
  });
}

test("refuses a symbolic link and a folder", async () => {
  await writeFile(join(folder, "target.key"), `${"ab".repeat(32)}\n`, { mode: 0o600 });
  await symlink(join(folder, "target.key"), join(folder, "link.key"));
  for (const path of [join(folder, "link.key"), folder]) {
    await assert.rejects(readOrCreateKeyFile(path), (error) => isMezError(error, "KEY_FILE_INVALID"));
  }
});

test("refuses the file of another user", async () => {
  await assert.rejects(
    readOrCreateKeyFile(await fileOfAnotherUser()),
    (error) => isMezError(error, "KEY_FILE_INVALID") && /belongs to user id/.test(error.message),
  );
});

// --- internal ---

/** Only root can give a file away; for others any file of root will do. */
async function fileOfAnotherUser(): Promise<string> {
  if (process.getuid?.() !== 0) return "/etc/passwd";
  const path = join(folder, "foreign.key");
  await writeFile(path, `${"ab".repeat(32)}\n`, { mode: 0o600 });
  await chown(path, 65_534, 65_534);
  return path;
}
