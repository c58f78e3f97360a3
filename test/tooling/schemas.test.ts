import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { Ajv } from "ajv";
import { HOST_SECTIONS } from "../../core/config/schema.js";
import { ROLE_SCHEMA } from "../../plugins/roles/role-schema.js";
import { WORKLOAD_SCHEMA } from "../../plugins/workload-identities/workload-schema.js";
import { BUILTIN_MANIFESTS } from "../fixtures/config-keys.js";
import { projectFile } from "../fixtures/project-file.js";

const SCHEMAS: readonly (readonly [name: string, schema: object])[] = [
  ["plugin.schema.json", JSON.parse(readFileSync(projectFile("plugin.schema.json"), "utf8"))],
  ["roles", ROLE_SCHEMA],
  ["workload identities", WORKLOAD_SCHEMA],
  ["the host's sections", { type: "object", properties: HOST_SECTIONS }],
  ...BUILTIN_MANIFESTS.flatMap(({ id, config }) => (config === undefined ? [] : [[`plugin ${id}`, config] as const])),
];

for (const [name, schema] of SCHEMAS)
  test(`the schema of ${name} is one, since no program checks it when it starts`, () => {
    const ajv = new Ajv({ strict: false });
    assert.equal(ajv.validateSchema(schema), true, JSON.stringify(ajv.errors));
  });
