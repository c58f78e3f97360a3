import assert from "node:assert/strict";
import { chmodSync, mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { isMezError } from "../../../core/errors/error.js";
import { checkModuleFile } from "./module-file.js";

test("takes a module that is ours, by its real path", async (t) => {
  const { folder, file } = moduleIn(t);
  symlinkSync(file, join(folder, "link.so"));
  assert.equal(await checkModuleFile(join(folder, "link.so")), realpathSync(file));
});

for (const [what, spoil, reason] of [
  ["a relative path", () => "module.so", /is not an absolute path/],
  ["a missing file", ({ folder }) => join(folder, "none.so"), /no such file or directory/],
  ["a folder", ({ folder }) => folder, /is not a file/],
  ["a file that others can write", ({ file }) => spoiled(file, file), /others can write .*module\.so/],
  ["a folder that others can write", ({ folder, file }) => spoiled(file, folder), /others can write/],
] as const satisfies readonly (readonly [string, (place: Place) => string, RegExp])[]) {
  test(`refuses ${what}`, async (t) => {
    const path = spoil(moduleIn(t));
    await assert.rejects(
      checkModuleFile(path),
      (error) => isMezError(error, "KEY_BACKEND_REFUSED") && reason.test(error.message),
    );
  });
}

// --- internal ---

interface Place {
  readonly folder: string;
  readonly file: string;
}

function moduleIn(t: TestContext): Place {
  const base = mkdtempSync(join(tmpdir(), "mezite-module-"));
  t.after(() => rmSync(base, { recursive: true }));
  const folder = join(base, "lib");
  mkdirSync(folder, { mode: 0o755 });
  const file = join(folder, "module.so");
  writeFileSync(file, "", { mode: 0o644 });
  return { folder, file };
}

function spoiled(place: string, of: string): string {
  chmodSync(of, 0o777);
  return place;
}
