import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
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

const FILE = fileURLToPath(projectFile("config/mezite.example.yaml"));
const TEXT = readFileSync(FILE, "utf8");
const WRITTEN = parse(TEXT) as Tree;
/** With the lines read as well that are off: a `#` and a key. */
const WHOLE = parse(TEXT.replace(/^( *)#(?= *[a-z][a-z_.]*:)/gm, "$1")) as Tree;

type Tree = Record<string, unknown>;

function valueAt(tree: Tree, path: readonly string[]): unknown {
  let value: unknown = tree;
  for (const key of path) value = typeof value === "object" && value !== null ? (value as Tree)[key] : undefined;
  return value;
}

for (const key of configKeys()) {
  const name = key.path.join(".");
  if (key.default === undefined) {
    test(`the example names ${name}`, () => assert.notEqual(valueAt(WHOLE, key.path), undefined));
  } else {
    test(`the example gives ${name} its default`, () => assert.deepEqual(valueAt(WRITTEN, key.path), key.default));
  }
}

test("the example is a valid configuration, and its plugins fit together", async () => {
  const config = await loadConfig(FILE, BUILTIN_MANIFESTS, {});
  const catalog = makeCatalog(BUILTIN_PLUGINS, RELEASE, projectFile("plugin.schema.json"));
  const { plugins } = await assemble(catalog, config, new Map(), config.roles);
  assert.ok(plugins.length > 0);
});

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
