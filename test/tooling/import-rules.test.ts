import assert from "node:assert/strict";
import { test } from "node:test";
import { checkImports, importsOf } from "./import-rules.js";

const PLUGINS = ["plugins/locks", "plugins/connector/oidc", "plugins/connector/saml"];

for (const [file, statement] of [
  ["plugins/locks/plugin.ts", `import { definePlugin } from "../../core/plugin/contract.js";`],
  ["plugins/locks/plugin.ts", `import manifest from "./plugin.json" with { type: "json" };`],
  ["plugins/locks/lock-rpc.ts", `import { LockService } from "../../proto/gen/mezite/locks/v1/locks.js";`],
  ["plugins/locks/lock-service.ts", `import type { Role } from "../roles/api.js";`],
  ["plugins/locks/migrations/first.ts", `import { table } from "../lock.js";`],
  ["plugins/connector/oidc/token.ts", `import { keys } from "./keys.js";`],
  ["plugins/locks/lock.test.ts", `import { FakeClock } from "../../test/fakes/clock.js";`],
  ["plugins/builtin.ts", `import locks from "./locks/plugin.json" with { type: "json" };`],
  ["core/ssh/client.ts", `import ssh2 from "ssh2";`],
  ["core/host/generation.ts", `import { container } from "tsyringe";`],
  ["core/plugin/manifest.ts", `import schema from "../../plugin.schema.json" with { type: "json" };`],
  ["core/plugin/contract.ts", `import { MezError } from "../errors/error.js";`],
  ["core/rpc/server.ts", `import { Plugins } from "../../proto/gen/mezite/plugins/v1/plugins.js";`],
  ["cli/mezctl.ts", `import { builtin } from "../plugins/builtin.js";`],
  ["daemons/mezd.ts", `await import("./auth.js");`],
  ["test/e2e/session.test.ts", `import { Client } from "ssh2";`],
] as const) {
  test(`allows ${file}: ${statement}`, () => assert.deepEqual(checkImports(file, statement, PLUGINS), []));
}

for (const [file, statement, reason] of [
  ["plugins/locks/plugin.ts", `import { load } from "../../core/config/load.js";`, /core\/config\/load\.ts/],
  ["plugins/locks/plugin.ts", `import { RoleService } from "../roles/role-service.js";`, /roles\/role-service/],
  ["plugins/connector/oidc/token.ts", `import { parse } from "../saml/response.js";`, /saml\/response/],
  ["plugins/locks/plugin.ts", `import { Client } from "ssh2";`, /only in core\/ssh/],
  ["plugins/locks/plugin.ts", `import { container } from "tsyringe";`, /only in core\/host\/generation/],
  ["plugins/locks/plugin.ts", `const key = await import("sshpk");`, /only in core\/ssh/],
  ["plugins/locks/plugin.ts", `import p from "ssh2/lib/protocol/Protocol.js";`, /only in core\/ssh/],
  ["plugins/locks/plugin.ts", `import { mezctl } from "../../cli/mezctl.js";`, /cli\/mezctl/],
  ["core/host/host.ts", `export * from "../../plugins/locks/api.js";`, /plugins\/locks\/api/],
  ["core/host/host.ts", `import "../../daemons/auth.js";`, /daemons\/auth/],
  ["core/ports/connector.ts", `import { Host } from "../host/host.js";`, /core\/host/],
  ["core/ports/connector.ts", `import { User } from "../../proto/gen/mezite/users/v1/users.js";`, /proto\/gen/],
  ["cli/mezctl.ts", `const { plugin } = await import("../plugins/locks/plugin.js");`, /plugins\/locks\/plugin/],
  ["cli/mezctl.ts", `import { start } from "../daemons/mezd.js";`, /daemons\/mezd/],
  ["core/time/clock.ts", `import { FakeClock } from "../../test/fakes/clock.js";`, /only tests import tests/],
  ["core/time/clock.ts", `import { table } from "./duration.test.js";`, /only tests import tests/],
  ["scripts/release.ts", `import { clock } from "../core/time/clock.js";`, /no import rule/],
] as const) {
  test(`refuses ${file}: ${statement}`, () => {
    const [finding, ...others] = checkImports(file, statement, PLUGINS);
    assert.match(finding?.message ?? "nothing found", reason);
    assert.deepEqual(others, []);
  });
}

test("sees imports over several lines, and none in comments", () => {
  const source = [
    `// import { a } from "./comment.js";`,
    `/* export * from "./block.js"; */`,
    "import {",
    "  one,",
    "  two,",
    `} from "./several.js";`,
    `const address = "https://example.org"; import './single.js';`,
    `export type { Three } from "./types.js";`,
  ].join("\n");
  assert.deepEqual(importsOf(source), [
    { specifier: "./several.js", line: 6 },
    { specifier: "./single.js", line: 7 },
    { specifier: "./types.js", line: 8 },
  ]);
});
