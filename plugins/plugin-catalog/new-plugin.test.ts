import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { CommandContext } from "../../core/plugin/commands.js";
import { newPlugin } from "./new-plugin.js";

test("says how to install this mezite, which no registry may have, beside the new package", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "mezite-new-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const notes: string[] = [];
  const context = { version: "0.1.0", output: { note: (text: string) => void notes.push(text) } } as unknown as CommandContext;
  const out = join(folder, "acme");
  await newPlugin(context, { id: "acme", port: "connector", subsystem: undefined, out });
  const [, written, mezite] =
    /^wrote (\S+); go on there with "npm install --save-dev (\S+)" and "npm test"$/.exec(notes[0] ?? "") ?? [];
  assert.equal(written, out);
  const nameOf = (path = ""): unknown => JSON.parse(readFileSync(join(path, "package.json"), "utf8")).name;
  assert.deepEqual([nameOf(written), nameOf(mezite)], ["mezite-plugin-acme", "mezite"]);
});
