import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { temporaryFolder, writePackage } from "../../test/fixtures/package.js";
import { isMezError } from "../errors/error.js";
import { hashOf, PackageStore } from "./package-store.js";

const FILES = { "plugin.json": "{}", "lib/b.js": "b", "lib/a.js": "a", "lib-z.js": "z" };

test("hashes a line for each file, in the order of the bytes of their paths", async (t) => {
  const folder = writePackage(join(temporaryFolder(t), "p"), FILES);
  chmodSync(join(folder, "lib/a.js"), 0o755);
  chmodSync(join(folder, "lib/b.js"), 0o600);
  symlinkSync("lib/a.js", join(folder, "link"));
  const sha = (text: string) => createHash("sha256").update(text).digest("hex");
  const lines = [
    `644 ${sha("z")} lib-z.js`,
    `755 ${sha("a")} lib/a.js`,
    `644 ${sha("b")} lib/b.js`,
    `link ${sha("lib/a.js")} link`,
    `644 ${sha("{}")} plugin.json`,
  ];
  assert.equal(await hashOf(folder), sha(`mezite-package 1\n${lines.map((line) => `${line}\n`).join("")}`));
});

test("keeps a copy that others cannot read and that nobody changes", async (t) => {
  const base = temporaryFolder(t);
  const folder = writePackage(join(base, "p"), FILES);
  const store = new PackageStore(join(base, "store"));
  const stored = await store.take("x", folder, `sha256-${await hashOf(folder)}`);
  assert.equal(stored.folder, join(base, "store", "x", stored.sha256));
  assert.equal(readFileSync(join(stored.folder, "lib/a.js"), "utf8"), "a");
  for (const path of [join(base, "store"), join(base, "store/x"), stored.folder])
    assert.equal(statSync(path).mode & 0o777, 0o700);
  assert.equal(statSync(join(stored.folder, "plugin.json")).mode & 0o777, 0o400);
  assert.deepEqual(readdirSync(join(base, "store/x")), [stored.sha256]);
});

test("says which hash a package has that is not the one asked for, and keeps nothing of it", async (t) => {
  const base = temporaryFolder(t);
  const folder = writePackage(join(base, "p"), FILES);
  const right = await hashOf(folder);
  writeFileSync(join(folder, "lib/a.js"), "A");
  const store = new PackageStore(join(base, "store"));
  await assert.rejects(store.take("x", folder, `sha256-${right}`), (error) => {
    assert.ok(isMezError(error, "PLUGIN_INTEGRITY_FAILED"));
    assert.match(error.message, /has integrity sha256-[0-9a-f]{64}, not sha256-[0-9a-f]{64}/);
    return true;
  });
  assert.deepEqual(readdirSync(join(base, "store/x")), []);
});

test("replaces a copy that somebody changed", async (t) => {
  const base = temporaryFolder(t);
  const folder = writePackage(join(base, "p"), FILES);
  const store = new PackageStore(join(base, "store"));
  const { folder: copy } = await store.take("x", folder, null);
  chmodSync(join(copy, "lib/a.js"), 0o600);
  writeFileSync(join(copy, "lib/a.js"), "evil");
  await store.take("x", folder, null);
  assert.equal(readFileSync(join(copy, "lib/a.js"), "utf8"), "a");
});

test("takes one file with the manifest beside it, and nothing else of the folder", async (t) => {
  const base = temporaryFolder(t);
  const folder = writePackage(join(base, "p"), { "plugin.json": "{}", "bundle.cjs": "1", "secret.txt": "no" });
  const { folder: copy } = await new PackageStore(join(base, "store")).take("x", join(folder, "bundle.cjs"), null);
  assert.deepEqual(readdirSync(copy).sort(), ["bundle.cjs", "plugin.json"]);
});

test("deletes the copies that are not in use any more", async (t) => {
  const base = temporaryFolder(t);
  const folder = writePackage(join(base, "p"), FILES);
  const store = new PackageStore(join(base, "store"));
  const old = await store.take("x", folder, null);
  const other = await store.take("y", folder, null);
  writeFileSync(join(folder, "lib/a.js"), "A");
  const current = await store.take("x", folder, null);
  await store.prune([current]);
  assert.deepEqual(
    [old, other, current].map(({ folder: copy }) => existsSync(copy)),
    [false, false, true],
  );
  assert.deepEqual(readdirSync(join(base, "store")), ["x"]);
});

const REFUSED: readonly (readonly [what: string, make: (folder: string) => void, message: RegExp])[] = [
  [
    "an absolute symlink",
    (folder) => symlinkSync("/etc/passwd", join(folder, "l")),
    /symlink "l" leads out of it, to "\/etc\/passwd"/,
  ],
  ["a symlink to the folder above", (folder) => symlinkSync("../x", join(folder, "lib/../l")), /symlink "l" leads out/],
  [
    "a symlink that leaves over another symlink",
    (folder) => {
      mkdirSync(join(folder, "d"));
      symlinkSync("..", join(folder, "d/up"));
      symlinkSync("d/up/../x", join(folder, "l"));
    },
    /symlink "l" leads out/,
  ],
  ["a symlink to nothing", (folder) => symlinkSync("gone", join(folder, "l")), /symlink "l" leads out/],
  ["a named pipe", (folder) => execFileSync("mkfifo", [join(folder, "pipe")]), /"pipe" is neither a file nor a folder/],
  ["a name with a line's end", (folder) => writeFileSync(join(folder, "a\nb"), ""), /the name "a\\nb" cannot be used/],
  [
    "more than 256 MiB",
    (folder) => {
      writeFileSync(join(folder, "big"), "");
      truncateSync(join(folder, "big"), 256 * 1024 * 1024 + 1);
    },
    /more than 256 MiB/,
  ],
];

for (const [what, make, message] of REFUSED) {
  test(`refuses ${what}`, async (t) => {
    const base = temporaryFolder(t);
    writeFileSync(join(base, "x"), "");
    const folder = writePackage(join(base, "p"), FILES);
    make(folder);
    await assert.rejects(
      new PackageStore(join(base, "store")).take("x", folder, null),
      (error) => isMezError(error, "PLUGIN_PACKAGE_REFUSED") && message.test(error.message),
    );
  });
}
