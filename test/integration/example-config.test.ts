import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { parse } from "yaml";
import { RELEASE } from "../../core/cli/release.js";
import { loadConfig } from "../../core/config/load.js";
import { assemble } from "../../core/host/assembly.js";
import { makeCatalog } from "../../core/host/catalog.js";
import { BUILTIN_PLUGINS } from "../../plugins/builtin.js";
import { BUILTIN_MANIFESTS, configKeys } from "../fixtures/config-keys.js";
import { projectFile } from "../fixtures/project-file.js";

/** What a plugin's keys are shown in: a section has the keys of one database driver at a time. */
const EXAMPLES = new Map([
  [null, exampleOf("config/mezite.example.yaml")],
  ["storage.postgresql", exampleOf("config/mezite.postgresql.example.yaml")],
]);
const { file: FILE } = EXAMPLES.get(null) as Example;

type Tree = Record<string, unknown>;
type Example = ReturnType<typeof exampleOf>;

function exampleOf(path: string) {
  const file = fileURLToPath(projectFile(path));
  const text = readFileSync(file, "utf8");
  // With the lines read as well that are off: a `#` and a key.
  const whole = parse(text.replace(/^( *)#(?= *[a-z][a-z_.]*:)/gm, "$1")) as Tree;
  return { file, written: parse(text) as Tree, whole };
}

function valueAt(tree: Tree, path: readonly string[]): unknown {
  let value: unknown = tree;
  for (const key of path) value = typeof value === "object" && value !== null ? (value as Tree)[key] : undefined;
  return value;
}

for (const key of configKeys()) {
  const name = key.path.join(".");
  const { written, whole } = EXAMPLES.get(key.plugin) ?? (EXAMPLES.get(null) as Example);
  if (key.default === undefined) {
    test(`the example names ${name}`, () => assert.notEqual(valueAt(whole, key.path), undefined));
  } else {
    test(`the example gives ${name} its default`, () => assert.deepEqual(valueAt(written, key.path), key.default));
  }
}

for (const { file } of EXAMPLES.values()) {
  test(`${basename(file)} is a valid configuration, and its plugins fit together`, async () => {
    const config = await loadConfig(file, BUILTIN_MANIFESTS, {});
    const catalog = makeCatalog(BUILTIN_PLUGINS, RELEASE, projectFile("plugin.schema.json"));
    const { plugins } = await assemble(catalog, config, new Map(), config.roles);
    assert.ok(plugins.length > 0);
  });
}

test("the example changes nothing of what holds without a file", async (t) => {
  const example = await loadConfig(FILE, BUILTIN_MANIFESTS, {});
  const folder = mkdtempSync(join(tmpdir(), "mezite-example-"));
  t.after(() => rmSync(folder, { recursive: true }));
  writeFileSync(join(folder, "empty.yaml"), "{}\n");
  const defaults = await loadConfig(join(folder, "empty.yaml"), BUILTIN_MANIFESTS, {});
  assert.deepEqual([...example.roles], [...defaults.roles]);
  assert.deepEqual(example.auth, defaults.auth);
  for (const [id, { config }] of defaults.plugins) assert.deepEqual(example.plugins.get(id)?.config, config, id);
});
