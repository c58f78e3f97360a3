import assert from "node:assert/strict";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { packageFiles, temporaryFolder, writePackage } from "../../test/fixtures/package.js";
import type { Lifecycle, Plugin, Registrar, Resolve } from "../plugin/contract.js";
import { PackageLoader } from "./package-loader.js";
import { PackageStore } from "./package-store.js";

/** An instance of a plugin that was started and disposed of. @returns The warnings, and what it counted before and after. */
async function lifeOf(t: TestContext, code: string): Promise<{ warned: unknown[]; counted: () => number }> {
  const base = temporaryFolder(t);
  const store = new PackageStore(join(base, "store"));
  const folder = writePackage(
    join(base, "x"),
    packageFiles("x", `globalThis.ticks = 0; const tick = () => { globalThis.ticks += 1; }; ${code}`),
  );
  const plugin: Plugin<never> = await new PackageLoader(store).load(await store.take("x", folder, null), "./plugin.cjs", false);
  const warned: unknown[] = [];
  const logger = { warn: (_message: string, fields: { timers: number }) => void warned.push(fields.timers) };
  const services = (token: { id: string }): unknown => (token.id === "host" ? { run: (work: () => unknown) => work() } : logger);
  const resolve = services as unknown as Resolve;
  const lifecycles: Lifecycle[] = [];
  const registrar = { run: (factory: (resolve: Resolve) => Lifecycle) => void lifecycles.push(factory(resolve)) };
  plugin.register(registrar as unknown as Registrar, {} as never);
  for (const lifecycle of lifecycles) await lifecycle.start?.();
  await delay(30);
  for (const lifecycle of lifecycles.reverse()) await lifecycle.dispose?.();
  return { warned, counted: () => (globalThis as unknown as { ticks: number }).ticks };
}

const hooks = (start: string, dispose = "") =>
  `module.exports = { register(host) { host.run(() => ({ async start() { ${start} }, async dispose() { ${dispose} } })); } };`;

for (const [what, code, warned] of [
  ["an interval", hooks("setInterval(tick, 5);"), [1]],
  [
    "timers of node:timers",
    `const { setInterval: every } = require("node:timers"); ${hooks("every(tick, 5); every(tick, 5);")}`,
    [2],
  ],
  ["a timer that another one made", hooks("setTimeout(() => setInterval(tick, 5), 1);"), [1]],
  ["a timer that waits", hooks("setTimeout(tick, 60_000);"), [1]],
  ["nothing, because it stopped its own", hooks("this.timer = setInterval(tick, 5);", "clearInterval(this.timer);"), []],
  ["nothing, because it rang", hooks("setTimeout(tick, 1);"), []],
] as const) {
  test(`leaves ${what}: it is stopped and told of`, async (t) => {
    const life = await lifeOf(t, code);
    assert.deepEqual(life.warned, warned);
    const before = life.counted();
    await delay(30);
    assert.equal(life.counted(), before);
  });
}

test("stops no timer that the host made for a plugin", async (t) => {
  const made: NodeJS.Timeout[] = [];
  (globalThis as { makeForPlugin?: () => void }).makeForPlugin = () => void made.push(setInterval(() => {}, 60_000));
  const { warned } = await lifeOf(t, hooks("globalThis.makeForPlugin();"));
  assert.deepEqual(warned, []);
  assert.equal((made[0] as unknown as { _destroyed: boolean })._destroyed, false);
  clearInterval(made[0]);
});

test("passes on what a plugin declares, with everything that it says of it", async (t) => {
  const base = temporaryFolder(t);
  const store = new PackageStore(join(base, "store"));
  const code = `const said = (resolve) => resolve; module.exports = { register(host) {
    host.provide("token", said); host.implement("port", "name", said); host.rpc("service", said); host.web("routes", said);
    host.store("entities", "migrations"); host.publish("kind", said); host.on("event", said, { everyServer: true }); } };`;
  const folder = writePackage(join(base, "y"), packageFiles("y", code));
  const plugin = await new PackageLoader(store).load(await store.take("y", folder, null), "./plugin.cjs", false);
  const declared: string[] = [];
  const note =
    (what: string) =>
    (...all: unknown[]): void =>
      void declared.push(
        `${what} ${all.map((each) => (typeof each === "function" ? each("built") : JSON.stringify(each))).join()}`,
      );
  const names = ["provide", "implement", "rpc", "web", "store", "publish", "on"];
  const registrar = { run() {}, ...Object.fromEntries(names.map((name) => [name, note(name)])) };
  plugin.register(registrar as unknown as Registrar, {} as never);
  assert.deepEqual(declared, [
    'provide "token",built',
    'implement "port","name",built',
    'rpc "service",built',
    'web "routes",built',
    'store "entities","migrations"',
    'publish "kind",built',
    'on "event",built,{"everyServer":true}',
  ]);
});
