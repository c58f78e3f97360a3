import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { entryOf, hostOf, manifestOf } from "../../test/fixtures/plugins.js";
import { needsSmallDisk, SmallDisk } from "../../test/fixtures/small-disk.js";
import { isMezError } from "../errors/error.js";
import type { LatePortView, Lifecycle, Registrar } from "../plugin/contract.js";
import { LEASES, type Lease } from "../plugin/process.js";
import { GUARD, type Guard } from "../ports/guard.js";

const GREETER = { id: "greeter", version: 1 };

/** A plugin whose hooks write what they do into `log`. */
function spoken(
  id: string,
  log: string[],
  rest: Parameters<typeof manifestOf>[1] = {},
  extra: (host: Registrar) => void = () => {},
) {
  return entryOf(manifestOf(id, rest), {
    register(host) {
      extra(host);
      const say = (what: string) => async () => void log.push(`${what} ${id}`);
      host.run((): Lifecycle => ({ start: say("start"), drain: say("drain"), dispose: say("dispose") }));
    },
  });
}

function dataDirectory(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), "mezite-host-"));
  t.after(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

test("starts in the order of the graph and stops in the reverse", async (t) => {
  const log: string[] = [];
  const provider = spoken("b-provider", log, { provides: [{ service: "greeter", version: 1 }] }, (host) =>
    host.provide(GREETER, () => "hello"),
  );
  const user = spoken("a-user", log, { requires: [{ service: "greeter", version: 1 }] });
  const { host } = hostOf([user, provider], dataDirectory(t));
  await host.start();
  await host.stop();
  assert.deepEqual(log, [
    "start b-provider",
    "start a-user",
    "drain a-user",
    "drain b-provider",
    "dispose a-user",
    "dispose b-provider",
  ]);
});

test("takes down what has started when one plugin fails, and names it", async (t) => {
  const log: string[] = [];
  const failing = entryOf(manifestOf("z-failing"), {
    register: (host) =>
      host.run(() => ({
        start: () => Promise.reject(new Error("no such luck")),
        dispose: async () => void log.push("dispose z-failing"),
      })),
  });
  const { host } = hostOf([spoken("a", log), failing], dataDirectory(t));
  await assert.rejects(
    host.start(),
    (error) => isMezError(error, "PLUGIN_START_FAILED") && error.message.includes('"z-failing": no such luck'),
  );
  assert.deepEqual(log, ["start a", "dispose z-failing", "dispose a"]);
});

test("refuses a service that the manifest does not list under requires", async (t) => {
  const provider = entryOf(manifestOf("provider", { provides: [{ service: "greeter", version: 1 }] }), {
    register: (host) => host.provide(GREETER, () => "hello"),
  });
  const thief = entryOf(manifestOf("thief"), {
    register: (host) =>
      host.run((resolve) => {
        resolve(GREETER);
        return {};
      }),
  });
  await assert.rejects(hostOf([provider, thief], dataDirectory(t)).host.start(), (error) =>
    isMezError(error, "SERVICE_NOT_REQUIRED"),
  );
});

test("disables a plugin hot, remembers it, and enables it again", async (t) => {
  const log: string[] = [];
  const folder = dataDirectory(t);
  const { host } = hostOf([spoken("a", log), spoken("b", log)], folder);
  await host.start();
  assert.deepEqual((await host.plugins.disable("a")).stopped, ["a"]);
  await turn();
  assert.deepEqual(log, ["start a", "start b", "drain a", "dispose a"]);
  assert.deepEqual(JSON.parse(readFileSync(join(folder, "plugins.json"), "utf8")), { a: false });
  assert.equal(host.plugins.list().find(({ manifest }) => manifest.id === "a")?.state, "off");
  assert.deepEqual((await host.plugins.enable("a")).started, ["a"]);
  assert.equal(log.at(-1), "start a");
  await host.stop();
});

test("keeps a replaced plugin alive until its last lease is returned", async (t) => {
  const log: string[] = [];
  const leases: Lease[] = [];
  const holder = spoken("holder", log, {}, (host) =>
    host.run((resolve) => ({ start: async () => void leases.push(resolve(LEASES).take()) })),
  );
  const { host } = hostOf([holder], dataDirectory(t));
  await host.start();
  await host.plugins.reload("holder");
  await turn();
  assert.deepEqual(log, ["start holder", "start holder", "drain holder"]);
  leases[0]?.return();
  leases[0]?.return();
  await turn();
  await turn();
  assert.equal(log.at(-1), "dispose holder");
  leases[1]?.return();
  await host.stop();
});

for (const letsGo of [true, false])
  test(`at its end frees a plugin that was replaced, when whoever holds on to it ${letsGo ? "lets go" : "does not let go"}`, async (t) => {
    const log: string[] = [];
    const leases: Lease[] = [];
    const holder = spoken("holder", log, {}, (host) =>
      host.run((resolve) => ({ start: async () => void leases.push(resolve(LEASES).take()) })),
    );
    const { host } = hostOf([holder], dataDirectory(t));
    await host.start();
    await host.plugins.reload("holder");
    leases[1]?.return();
    setTimeout(() => {
      log.push("time passes");
      if (letsGo) leases[0]?.return();
    }, 300);
    await host.stop();
    assert.deepEqual(log.slice(-3), ["time passes", "dispose holder", "dispose holder"]);
  });

test("a reload that fails leaves everything as it was", async (t) => {
  const log: string[] = [];
  let broken = false;
  const fragile = entryOf(manifestOf("fragile", { config: { type: "object" } }), {
    register: (host) =>
      host.run(() => ({
        start: async () => {
          if (broken) throw new Error("broken now");
          log.push("start fragile");
        },
        dispose: async () => void log.push("dispose fragile"),
      })),
  });
  const { host, configure } = hostOf(
    [spoken("a", log), fragile],
    dataDirectory(t),
    new Map([["fragile", { enabled: null, config: { size: 1 } }]]),
  );
  await host.start();
  broken = true;
  configure(new Map([["fragile", { enabled: null, config: { size: 2 } }]]));
  await assert.rejects(host.plugins.reload(), (error) => isMezError(error, "PLUGIN_START_FAILED"));
  assert.deepEqual(log, ["start a", "start fragile", "dispose fragile"]);
  assert.equal(host.plugins.list().find(({ manifest }) => manifest.id === "fragile")?.state, "on");
  broken = false;
  assert.deepEqual((await host.plugins.reload()).replaced, ["fragile"]);
  await host.stop();
});

test("replaces those who require a plugin along with it, and nobody else", async (t) => {
  const log: string[] = [];
  const provider = spoken("provider", log, { provides: [{ service: "greeter", version: 1 }] }, (host) =>
    host.provide(GREETER, () => "hello"),
  );
  const user = spoken("user", log, { requires: [{ service: "greeter", version: 1 }] });
  const { host } = hostOf([provider, user, spoken("other", log)], dataDirectory(t));
  await host.start();
  assert.deepEqual((await host.plugins.reload("provider")).replaced, ["provider", "user"]);
  await host.stop();
});

for (const [what, code, prepare] of [
  ["there is no room for it", "STORAGE_FULL", (disk: SmallDisk) => disk.fill()],
  [
    "its file cannot be made",
    "STORAGE_UNWRITABLE",
    ({ folder }: SmallDisk) => mkdirSync(join(folder, "plugins.json.new", "x"), { recursive: true }),
  ],
] as const) {
  test(
    `a switch that cannot be written down because ${what} changes nothing, and works when it can`,
    needsSmallDisk(),
    async (t) => {
      const log: string[] = [];
      const disk = new SmallDisk(mkdtempSync(join(tmpdir(), "mezite-host-")), 64 * 1024);
      t.after(() => {
        disk.unmount();
        rmSync(disk.folder, { recursive: true });
      });
      const { host } = hostOf([spoken("a", log), spoken("b", log)], disk.folder);
      await host.start();
      await host.plugins.disable("b");
      const before = readFileSync(join(disk.folder, "plugins.json"), "utf8");
      log.splice(0);
      prepare(disk);
      await assert.rejects(
        host.plugins.disable("a"),
        (error) => isMezError(error, code) && error.message.includes("plugins.json"),
      );
      await assert.rejects(host.plugins.enable("b"), (error) => isMezError(error, code));
      assert.deepEqual(log, ["start b", "dispose b"]);
      assert.deepEqual(
        host.plugins.list().map(({ manifest, state }) => [manifest.id, state]),
        [
          ["a", "on"],
          ["b", "off"],
        ],
      );
      assert.equal(readFileSync(join(disk.folder, "plugins.json"), "utf8"), before);
      disk.empty();
      rmSync(join(disk.folder, "plugins.json.new"), { recursive: true, force: true });
      rmSync(join(disk.folder, "plugins.json.new"), { recursive: true, force: true });
      assert.deepEqual((await host.plugins.enable("b")).started, ["b"]);
      assert.deepEqual(readdirSync(disk.folder), ["plugins.json"]);
      await host.stop();
    },
  );
}

const REFUSALS: readonly (readonly [
  name: string,
  act: (host: ReturnType<typeof hostOf>["host"]) => Promise<unknown>,
  code: Parameters<typeof isMezError>[1],
  message: RegExp,
])[] = [
  ["to disable what others require", (host) => host.plugins.disable("provider"), "PLUGIN_REQUIRED", /required by "user"/],
  ["to disable an essential plugin", (host) => host.plugins.disable("essential"), "PLUGIN_REQUIRED", /always on/],
  ["an unknown plugin", (host) => host.plugins.enable("teapot"), "PLUGIN_UNKNOWN", /no plugin "teapot"/],
  [
    "to disable what a plugin that needs a restart uses",
    (host) => host.plugins.disable("liked"),
    "PLUGIN_NEEDS_RESTART",
    /replaces "stuck".*config file/,
  ],
  ["to replace what needs a restart", (host) => host.plugins.reload("stuck"), "PLUGIN_NEEDS_RESTART", /replaces "stuck"/],
];

for (const [name, act, code, message] of REFUSALS) {
  test(`refuses ${name}`, async (t) => {
    const log: string[] = [];
    const { host } = hostOf(
      [
        spoken("provider", log, { provides: [{ service: "greeter", version: 1 }] }, (registrar) =>
          registrar.provide(GREETER, () => "hello"),
        ),
        spoken("user", log, { requires: [{ service: "greeter", version: 1 }] }),
        spoken("essential", log, { essential: true }),
        spoken("liked", log, { provides: [{ service: "liked", version: 1 }] }, (registrar) =>
          registrar.provide({ id: "liked", version: 1 }, () => "a"),
        ),
        spoken("stuck", log, { reload: "restart", requires: [{ service: "liked", version: 1, optional: true }] }),
      ],
      dataDirectory(t),
    );
    await host.start();
    await assert.rejects(act(host), (error) => isMezError(error, code as never) && message.test(error.message));
    await host.stop();
  });
}

test("a late service is the one that has started, comes and goes, and holds nobody back", async (t) => {
  const built: string[] = [];
  let seenDuring: string | null = null;
  let greeting: () => string | null = () => null;
  let isBroken = false;
  const provider = entryOf(manifestOf("provider", { provides: [{ service: "greeter", version: 1 }] }), {
    register(host) {
      host.provide(GREETER, () => `hello ${built.push("greeter")}`);
      host.run(() => ({
        start: async () => {
          seenDuring = greeting();
          if (isBroken) throw new Error("broken now");
        },
      }));
    },
  });
  const requires = [{ service: "greeter", version: 1, late: true }];
  const user = entryOf(manifestOf("a-user", { requires, reload: "restart" }), {
    register: (host) =>
      host.run((resolve) => {
        greeting = resolve.late<string>(GREETER);
        return {};
      }),
  });
  const { host } = hostOf([user, provider], dataDirectory(t));
  await host.start();
  assert.equal(greeting(), "hello 1");
  await host.plugins.reload("provider");
  assert.deepEqual([seenDuring, greeting()], ["hello 1", "hello 2"]);
  isBroken = true;
  await assert.rejects(host.plugins.reload("provider"), (error) => isMezError(error, "PLUGIN_START_FAILED"));
  assert.equal(greeting(), "hello 2");
  isBroken = false;
  await host.plugins.disable("provider");
  assert.equal(greeting(), null);
  await host.plugins.enable("provider");
  assert.equal(greeting(), "hello 4");
  await host.stop();
});

test("disables what one plugin requires as optional and looks up late beside it", async (t) => {
  const both = spoken(
    "both",
    [],
    { provides: [{ service: "greeter", version: 1 }], implements: [{ port: "guard", name: "both" }] },
    (host) => {
      host.provide(GREETER, () => "hello");
      host.implement(GUARD, "both", () => ({ refusal: () => null, onChange: () => () => {} }));
    },
  );
  const requires = [
    { service: "greeter", version: 1, optional: true },
    { service: "guard", version: 1, late: true },
  ];
  const { host } = hostOf([both, spoken("user", [], { requires })], dataDirectory(t));
  await host.start();
  const { stopped, replaced } = await host.plugins.disable("both");
  assert.deepEqual([stopped, replaced], [["both"], ["user"]]);
  await host.stop();
});

test("a late port is what has started, tells who follows it of changes, and is not silent before it is there", async (t) => {
  const seen: unknown[] = [];
  let view: LatePortView<Guard> | null = null;
  let isBroken = false;
  const look = () => view?.names();
  const guard = (id: string) =>
    entryOf(manifestOf(id, { implements: [{ port: "guard", name: id }] }), {
      register(host) {
        host.implement(GUARD, id, () => ({ refusal: () => null, onChange: () => () => {} }));
        host.run(() => ({
          start: async () => {
            seen.push(look());
            if (isBroken) throw new Error("broken now");
          },
        }));
      },
    });
  const requires = [{ service: "guard", version: 1, late: true }];
  const user = entryOf(manifestOf("a-user", { requires, reload: "restart" }), {
    register: (host) =>
      host.run((resolve) => {
        view = resolve.latePort(GUARD);
        assert.throws(look, (error) => isMezError(error, "UNAVAILABLE"));
        view.onChange(() => seen.push("changed"));
        assert.throws(
          () => resolve.port(GUARD),
          (error) => isMezError(error, "SERVICE_NOT_REQUIRED"),
        );
        return {};
      }),
  });
  const { host } = hostOf([user, guard("one"), guard("two")], dataDirectory(t));
  await host.start();
  assert.deepEqual(seen.splice(0), ["changed", ["one", "two"], ["one", "two"]]);
  await host.plugins.disable("one");
  assert.deepEqual([seen.splice(0), look()], [["changed"], ["two"]]);
  isBroken = true;
  await assert.rejects(host.plugins.enable("one"), (error) => isMezError(error, "PLUGIN_START_FAILED"));
  assert.deepEqual([seen.splice(0), look()], [[["two"]], ["two"]]);
  isBroken = false;
  await host.plugins.enable("one");
  assert.deepEqual(
    [seen.splice(0), look()],
    [
      [["two"], "changed"],
      ["one", "two"],
    ],
  );
  await host.stop();
});
