import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { projectFile } from "../../test/fixtures/project-file.js";

interface Schema {
  readonly $ref?: string;
  readonly description?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly items?: Schema;
  readonly $defs?: Readonly<Record<string, Schema>>;
}

test("plugin.schema.json describes every key, for editors", () => {
  const schema = JSON.parse(readFileSync(projectFile("plugin.schema.json"), "utf8")) as Schema;
  assert.deepEqual(keysWithoutDescription(schema, schema, ""), []);
});

// --- internal ---

function keysWithoutDescription(schema: Schema, root: Schema, path: string): string[] {
  const target = schema.$ref === undefined ? schema : root.$defs?.[schema.$ref.replace("#/$defs/", "")];
  if (target === undefined) return [`${path}: ${schema.$ref} is not there`];
  const nested = Object.entries(target.properties ?? {}).flatMap(([key, child]) => {
    const own = child.description ?? root.$defs?.[(child.$ref ?? "").replace("#/$defs/", "")]?.description;
    return [...(own === undefined ? [`${path}/${key}`] : []), ...keysWithoutDescription(child, root, `${path}/${key}`)];
  });
  return target.items === undefined ? nested : [...nested, ...keysWithoutDescription(target.items, root, `${path}[]`)];
}
