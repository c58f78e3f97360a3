import assert from "node:assert/strict";
import { test } from "node:test";
import { MEZCTL_FLAGS } from "../core/cli/global-flags.js";
import type { Program } from "../core/cli/program.js";
import { MezError } from "../core/errors/error.js";
import type { CatalogEntry } from "../core/host/catalog.js";
import { command, defineCommands, group } from "../core/plugin/commands.js";
import type { Manifest } from "../core/plugin/manifest.js";
import type { RpcConnection } from "../core/plugin/rpc.js";
import { BUILTIN_PLUGINS } from "../plugins/builtin.js";
import { runExample } from "../test/fixtures/example-program.js";
import { pluginCommands } from "./plugin-commands.js";

test("lists the commands of a binary without importing a plugin", () => {
  let imports = 0;
  const entry = entryOf(new MezError("INTERNAL", "never"), () => {
    imports += 1;
  });
  assert.deepEqual(
    pluginCommands("mezctl", [entry]).map(({ name }) => name),
    ["devices"],
  );
  assert.deepEqual(pluginCommands("msh", [entry]), []);
  assert.equal(imports, 0);
});

for (const [what, message, plugin] of [
  [
    "the server does not know the service",
    "the plugin behind this command is not enabled on the server at localhost:3025",
    "devices",
  ],
  [
    "the server knows a service that is off",
    "the plugin that serves mezite.devices.v1.DeviceService is not enabled on this cluster",
    "devices",
  ],
  [
    "the service of another plugin is off",
    "the plugin that serves mezite.locks.v1.LockService is not enabled on this cluster",
    "locks",
  ],
] as const) {
  test(`names plugin and cluster when ${what}`, async () => {
    const { code, stderr } = await runExample(program(new MezError("PLUGIN_NOT_ENABLED", message)), ["devices", "ls"]);
    assert.equal(code, 7);
    assert.match(stderr, new RegExp(`^mezctl: plugin "${plugin}" is not enabled on cluster prod\n`));
    assert.match(stderr, new RegExp(`^mezctl: hint: "mezctl plugins enable ${plugin}" switches it on$`, "m"));
  });
}

test("leaves every other error as it is", async () => {
  const { code, stderr } = await runExample(program(new MezError("NOT_FOUND", "no device 7")), ["devices", "ls"]);
  assert.deepEqual([code, stderr], [5, "mezctl: no device 7\n"]);
});

for (const binary of ["mezctl", "msh"] as const) {
  test(`every ${binary} command that a built-in manifest lists is defined by its plugin`, async () => {
    for (const summary of pluginCommands(binary)) {
      const nodes = (await summary.load())[binary] ?? [];
      assert.ok(
        nodes.some(({ name }) => name === summary.name),
        summary.name,
      );
    }
  });
}

test("every command that a built-in plugin defines is listed by its manifest", async () => {
  for (const { manifest, commands } of BUILTIN_PLUGINS) {
    if (commands === undefined) continue;
    const { id, contributes } = manifest as Manifest;
    const defined = (await commands()).default as Readonly<Record<string, readonly { readonly name: string }[]>>;
    const names = Object.entries(defined).flatMap(([binary, nodes]) => nodes.map(({ name }) => `${binary} ${name}`));
    assert.deepEqual(names.sort(), (contributes?.commands ?? []).map(({ binary, name }) => `${binary} ${name}`).sort(), id);
  }
});

// --- internal ---

function manifestWith(id: string, service: string, commands: readonly string[]): Manifest {
  return {
    id,
    version: "1.0.0",
    apiVersion: 1,
    summary: id,
    entries: {},
    contributes: { rpc: [service], commands: commands.map((name) => ({ name, binary: "mezctl", summary: name })) },
  };
}

function entryOf(error: MezError, onImport: () => void = () => undefined): CatalogEntry {
  const ls = command({
    name: "ls",
    summary: "List",
    async run() {
      throw error;
    },
  });
  return {
    manifest: manifestWith("devices", "mezite.devices.v1.DeviceService", ["devices"]),
    commands: async () => {
      onImport();
      return { default: defineCommands({ mezctl: [group({ name: "devices", summary: "Devices", commands: [ls] })] }) };
    },
  };
}

function program(error: MezError): Program {
  const connection: RpcConnection = {
    client: (() => ({ ping: async () => ({ clusterName: "prod" }) })) as never,
    serverFingerprint: async () => Buffer.alloc(0),
    serverAuthority: () => null,
    close: () => undefined,
  };
  return {
    binary: "mezctl",
    version: "1",
    summary: "Administer",
    globals: MEZCTL_FLAGS,
    commands: pluginCommands("mezctl", [entryOf(error), { manifest: manifestWith("locks", "mezite.locks.v1.LockService", []) }]),
    connect: async () => connection,
  };
}
