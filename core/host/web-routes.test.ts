import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { entryOf, hostOf, manifestOf } from "../../test/fixtures/plugins.js";
import { testAuthority } from "../../test/fixtures/tls.js";
import { openFront } from "../../test/fixtures/web-bed.js";
import { isMezError } from "../errors/error.js";
import type { WebHandler } from "../plugin/web.js";
import { WEB_DOOR } from "../plugin/web-door.js";
import { jsonResponse } from "../plugin/web-response.js";

const PROXY = new Set(["proxy"] as const);

/** A plugin with one route, in every build that is started of it. */
function page(id: string, path: string, handler: WebHandler, disposed: () => void = () => {}) {
  const manifest = manifestOf(id, { runsIn: ["proxy"], contributes: { webRoutes: [`GET ${path}`] } });
  return entryOf(manifest, {
    register(host) {
      host.web({ page: { method: "GET", path, access: "public" } }, () => ({ page: handler }));
      host.run(() => ({ dispose: async () => disposed() }));
    },
  });
}

test("a request keeps its plugin alive while that is switched off, and the next one finds nothing", async (t) => {
  const entered = Promise.withResolvers<void>();
  const go = Promise.withResolvers<void>();
  const log: string[] = [];
  const slow: WebHandler = async () => {
    entered.resolve();
    await go.promise;
    log.push("answered");
    return jsonResponse({});
  };
  const { host, ask } = await running(t, [page("pages", "/page", slow, () => void log.push("disposed"))]);
  const asked = ask("/page");
  await entered.promise;
  await host.plugins.disable("pages");
  assert.equal((await ask("/page")).status, 404);
  assert.deepEqual(log, []);
  go.resolve();
  assert.equal((await asked).status, 200);
  while (log.length < 2) await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(log, ["answered", "disposed"]);
  await host.plugins.enable("pages");
  assert.equal((await ask("/page")).status, 200);
});

for (const [what, paths] of [
  ["two plugins that serve one route", ["/things/:thing", "/things/:name"]],
  ["a plugin that serves a route of the server itself", ["/v1/webapi/ping", "/other"]],
] as const) {
  test(`does not start with ${what}`, async (t) => {
    const entries = paths.map((path, index) => page(`p${index}`, path, async () => jsonResponse({})));
    const { host } = hostOf(entries, folder(t), new Map(), PROXY);
    await assert.rejects(
      host.start(),
      (error) => isMezError(error, "PLUGIN_GRAPH_INVALID") && / both serve GET /.test(error.message),
    );
  });
}

// --- internal ---

function folder(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), "mezite-web-"));
  t.after(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

/** A host of role proxy with a port in front of its web server. */
async function running(t: TestContext, entries: readonly ReturnType<typeof page>[]) {
  const authority = await testAuthority();
  const credentials = await authority.issue("localhost");
  const { promise: door, resolve: opened } = Promise.withResolvers<{ accept(socket: import("node:net").Socket): void }>();
  const front = entryOf(manifestOf("front", { runsIn: ["proxy"] }), {
    register: (registrar) =>
      registrar.run((resolve) => ({
        start: async () => {
          const web = resolve(WEB_DOOR);
          await web.open({ certificate: () => credentials, certificateFiles: null, publicAddress: "localhost" });
          opened(web);
        },
        dispose: async () => resolve(WEB_DOOR).close(),
      })),
  });
  const { host } = hostOf([...entries, front], folder(t), new Map(), PROXY);
  await host.start();
  t.after(() => host.stop());
  const served = await door;
  return { host, ask: await openFront(t, (socket) => served.accept(socket), authority) };
}
