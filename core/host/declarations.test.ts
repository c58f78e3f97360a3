import assert from "node:assert/strict";
import { test } from "node:test";
import { manifestOf } from "../../test/fixtures/plugins.js";
import { isMezError } from "../errors/error.js";
import type { Registrar } from "../plugin/contract.js";
import type { Manifest } from "../plugin/manifest.js";
import type { RpcMethod, RpcService } from "../plugin/rpc.js";
import { KEY_BACKEND } from "../ports/key-backend.js";
import { collectDeclarations } from "./declarations.js";

const TOKEN = { id: "greeter", version: 1 };
const nothing = () => {
  throw new Error("a factory runs only when its plugin is built");
};
const method: RpcMethod<object, object> = {
  path: "/x",
  requestStream: false,
  responseStream: false,
  requestSerialize: () => Buffer.alloc(0),
  requestDeserialize: () => ({}),
  responseSerialize: () => Buffer.alloc(0),
  responseDeserialize: () => ({}),
};
const rpc = (permissions: Record<string, string>): RpcService<{ greet: RpcMethod<object, object> }> => ({
  name: "test.v1.Greeter",
  definition: { greet: method },
  permissions: permissions as RpcService<{ greet: RpcMethod<object, object> }>["permissions"],
});

function declare(manifest: Partial<Manifest>, register: (host: Registrar) => void) {
  return collectDeclarations({ register }, manifestOf("greeter", { runsIn: ["auth"], ...manifest }), new Set(["auth"]), {});
}

test("takes what the manifest says and register does", () => {
  const declarations = declare({ provides: [{ service: "greeter", version: 1 }] }, (host) => host.provide(TOKEN, nothing));
  assert.equal(declarations.services.length, 1);
});

const MISMATCHES: readonly (readonly [
  name: string,
  manifest: Partial<Manifest>,
  register: (host: Registrar) => void,
  message: RegExp,
])[] = [
  [
    "a service that the manifest does not name",
    {},
    (host) => host.provide(TOKEN, nothing),
    /adds "greeter@1", which provides does not name/,
  ],
  [
    "a service that register does not offer",
    { provides: [{ service: "greeter", version: 1 }] },
    () => {},
    /names "greeter@1", which register\(\) does not/,
  ],
  ["a port that the manifest does not name", {}, (host) => host.implement(KEY_BACKEND, "mine", nothing), /key-backend\/mine/],
  [
    "a method without a permission",
    { contributes: { rpc: ["test.v1.Greeter"] } },
    (host) => host.rpc(rpc({}), nothing),
    /has no permission rule/,
  ],
  [
    "a permission that the manifest does not introduce",
    { contributes: { rpc: ["test.v1.Greeter"] } },
    (host) => host.rpc(rpc({ greet: "greeter:use" }), nothing),
    /"greeter:use", which the manifest does not introduce/,
  ],
  [
    "the same service twice",
    { provides: [{ service: "greeter", version: 1 }] },
    (host) => {
      host.provide(TOKEN, nothing);
      host.provide(TOKEN, nothing);
    },
    /twice/,
  ],
];

for (const [name, manifest, register, message] of MISMATCHES) {
  test(`refuses ${name}`, () => {
    assert.throws(
      () => declare(manifest, register),
      (error) => isMezError(error, "PLUGIN_MANIFEST_MISMATCH") && message.test(error.message),
    );
  });
}

const PAGE = { method: "GET", path: "/page/:id", access: "public" } as const;

for (const [name, webRoutes, register, message] of [
  ["a web route that the manifest does not name", [], (host) => host.web({ page: PAGE }, nothing), /adds "GET \/page\/:id"/],
  [
    "a web route that register does not serve",
    ["GET /page/:id"],
    () => {},
    /names "GET \/page\/:id", which register\(\) does not/,
  ],
] as readonly (readonly [string, readonly string[], (host: Registrar) => void, RegExp])[]) {
  test(`refuses ${name}, in a proxy`, () => {
    const manifest = manifestOf("pages", { runsIn: ["auth", "proxy"], contributes: { webRoutes } });
    const roles = new Set(["proxy"] as const);
    assert.throws(
      () => collectDeclarations({ register }, manifest, roles, {}),
      (error) => isMezError(error, "PLUGIN_MANIFEST_MISMATCH") && message.test(error.message),
    );
  });
}

test("web routes are a proxy's business: an auth service alone has none", () => {
  const manifest = manifestOf("pages", { runsIn: ["auth", "proxy"], contributes: { webRoutes: ["GET /page/:id"] } });
  assert.deepEqual(collectDeclarations({ register() {} }, manifest, new Set(["auth"]), {}).web, []);
});

test("names the plugin whose register throws, and keeps the cause", () => {
  const boom = new Error("boom");
  assert.throws(
    () =>
      declare({}, () => {
        throw boom;
      }),
    (error) => isMezError(error, "PLUGIN_REGISTER_FAILED") && error.cause === boom && error.message.includes('"greeter"'),
  );
});
