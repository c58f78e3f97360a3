import assert from "node:assert/strict";
import { chmodSync, mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { loadCommand } from "../core/cli/route.js";
import { isMezError } from "../core/errors/error.js";
import { hashOf } from "../core/packages/package-store.js";
import type { Manifest } from "../core/plugin/manifest.js";
import { packageFiles, QUIET_PLUGIN, temporaryFolder, writePackage } from "../test/fixtures/package.js";
import { knownLocalCommands } from "./known-commands.js";
import { localCommands } from "./local-commands.js";

const CODE =
  'exports.default = { mezctl: [{ name: "things", summary: "Things", commands: [] }] };\nglobalThis.thingsRan = true;\n';

test("brings the commands of a package that is named and pinned, and imports its code only for them", async (t) => {
  const bed = await makeBed(t);
  const { commands, failures } = await localCommands(bed.home);
  assert.deepEqual([commands.map(({ name }) => name), failures], [["things"], []]);
  assert.equal("thingsRan" in globalThis, false);
  assert.equal((await loadCommand(commands[0]!, "mezctl")).summary, "Things");
  assert.equal("thingsRan" in globalThis, true);
});

test("looks at nothing without the file", async (t) => {
  const home = temporaryFolder(t);
  assert.deepEqual(await localCommands(home), { commands: [], failures: [] });
  assert.deepEqual(readdirSync(home), []);
});

for (const [what, change, expected] of [
  [
    "a package that was changed",
    (bed) => writeFileSync(join(bed.place, "commands.cjs"), `${CODE}// more\n`),
    /has integrity sha256-.*, not sha256-/,
  ],
  [
    "a package without integrity",
    (bed) => bed.write({ integrity: undefined }),
    /mezctl.yaml:\d+: .*has no integrity; that of the package which is there is sha256-/,
  ],
  ["a package that is not there", (bed) => bed.write({ from: "path:nowhere" }), /there is no package at/],
  ["the id of a plugin of the build", (bed) => bed.write({}, "locks"), /plugin "locks" is part of this build/],
] as const satisfies readonly (readonly [string, (bed: Bed) => void, RegExp])[]) {
  test(`brings nothing of ${what}, and says why`, async (t) => {
    const bed = await makeBed(t);
    change(bed);
    const { commands, failures } = await localCommands(bed.home);
    assert.deepEqual([commands, failures.length], [[], 1]);
    assert.match(String((failures[0] as Error).message), expected);
  });
}

test("takes no word of the build", async (t) => {
  const bed = await makeBed(t, "locks");
  const { commands, failures } = await localCommands(bed.home);
  assert.equal(commands.length, 0);
  assert.match(String((failures[0] as Error).message), /command "mezctl locks" is taken by plugin "locks"/);
});

test("does not believe a file that others may write", async (t) => {
  const bed = await makeBed(t);
  chmodSync(join(bed.home, "mezctl.yaml"), 0o666);
  await assert.rejects(
    localCommands(bed.home),
    (error) => isMezError(error, "CONFIG_INVALID") && /mode 0600/.test(error.message),
  );
});

test("names the commands of packages for help and completion without touching the packages again", async (t) => {
  const bed = await makeBed(t);
  const names = async () => (await knownLocalCommands(bed.home)).map(({ name, summary }) => [name, summary]);
  assert.deepEqual(await names(), [["things", "Things"]]);
  const [things] = await knownLocalCommands(bed.home);
  assert.deepEqual((await things!.load()).mezctl?.[0]?.name, "things");
  rmSync(bed.place, { recursive: true });
  for (const kept of readdirSync(join(bed.home, "packages")))
    if (kept !== "known.json") rmSync(join(bed.home, "packages", kept), { recursive: true });
  assert.deepEqual(await names(), [["things", "Things"]]);
  const [again] = await knownLocalCommands(bed.home);
  assert.deepEqual((await again!.load()).mezctl, [{ name: "things", summary: "Things", commands: [] }], "without its code");
  assert.equal(statSync(join(bed.home, "packages/known.json")).mode & 0o777, 0o600);
  assert.deepEqual((await localCommands(bed.home)).commands, [], "calling one takes the package");
});

test("names nothing any more when the file that names the packages is another one, or others may write it", async (t) => {
  const bed = await makeBed(t);
  await knownLocalCommands(bed.home);
  bed.write({ integrity: `sha256-${"0".repeat(64)}` });
  assert.deepEqual(await knownLocalCommands(bed.home), []);
  bed.write({});
  assert.equal((await knownLocalCommands(bed.home)).length, 1);
  chmodSync(join(bed.home, "mezctl.yaml"), 0o666);
  await assert.rejects(knownLocalCommands(bed.home), (error) => isMezError(error, "CONFIG_INVALID"));
});

// --- internal ---

interface Bed {
  readonly home: string;
  readonly place: string;
  readonly write: (entry: { readonly from?: string; readonly integrity?: string | undefined }, id?: string) => void;
}

async function makeBed(t: TestContext, word = "things"): Promise<Bed> {
  const folder = temporaryFolder(t);
  const manifest: Partial<Manifest> = {
    entries: { service: "./plugin.cjs", commands: "./commands.cjs" },
    contributes: { commands: [{ name: word, binary: "mezctl", summary: "Things" }] },
  };
  const place = writePackage(join(folder, "acme-things"), {
    ...packageFiles("acme-things", QUIET_PLUGIN, manifest),
    "commands.cjs": CODE,
  });
  const integrity = `sha256-${await hashOf(place)}`;
  const home = join(folder, "home");
  mkdirSync(home);
  const write: Bed["write"] = (entry, id = "acme-things") => {
    const plugins = { [id]: { from: `path:${place}`, integrity, ...entry } };
    writeFileSync(join(home, "mezctl.yaml"), JSON.stringify({ plugins }), { mode: 0o600 });
  };
  write({});
  return { home, place, write };
}
