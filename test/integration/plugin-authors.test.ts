import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import pluginCatalogCommands from "../../plugins/plugin-catalog/commands.js";
import { AuthorWorkspace } from "../fixtures/author-workspace.js";

describe("an author of plugins, with mezite installed from its tarball", () => {
  let workspace: AuthorWorkspace;
  before(() => {
    workspace = new AuthorWorkspace();
  });
  after(() => workspace.remove());

  test("gets for each port, and for a subsystem, a package that compiles and whose tests pass", () => {
    const ports = templatePorts();
    assert.ok(ports.length >= 7, ports.join());
    for (const port of ports) workspace.run(workspace.mezctl, ["plugins", "new", "acme.tape", `--port=${port}`, `--out=${port}`]);
    workspace.run(workspace.mezctl, ["plugins", "new", "acme-notes", "--subsystem", "--out=subsystem"]);
    const folders = [...ports, "subsystem"];
    workspace.compile(...folders);
    const tests = folders.map((folder) => join(folder, "dist", "*.test.js"));
    workspace.node(["--test", "--test-concurrency=2", "--test-reporter=tap", ...tests]);
  });

  test("makes a package of it that holds what a server needs and nothing else", () => {
    const listed = workspace.run("npm", ["pack", "--dry-run", "--json"], join(workspace.folder, "subsystem"));
    const [{ files }] = JSON.parse(listed) as [{ files: { path: string }[] }];
    assert.deepEqual(files.map(({ path }) => path).sort(), [
      "README.md",
      ...["note-repository", "note-rpc", "note-service", "plugin"].map((name) => `dist/${name}.js`),
      "package.json",
      "plugin.json",
    ]);
  });

  for (const [why, args, expected] of [
    [
      "a folder that is not empty",
      ["acme-notes", "--subsystem", "--out=subsystem"],
      /is not empty; give another folder with --out/,
    ],
    ["an unknown port", ["acme-notes", "--port=authorizer"], /authorizer.*recording-store/s],
    ["neither a port nor a subsystem", ["acme-notes"], /--port=<port> .* or --subsystem/],
    ["a name that is no id", ["Acme", "--subsystem"], /"Acme" is no id of a plugin/],
    ["a way out of the folder", ["../acme", "--subsystem"], /is no id of a plugin/],
  ] as const) {
    test(`is refused ${why}`, () => {
      assert.throws(() => workspace.run(workspace.mezctl, ["plugins", "new", ...args]), expected);
    });
  }
});

// --- internal ---

function templatePorts(): readonly string[] {
  const [plugins] = pluginCatalogCommands.mezctl ?? [];
  const command =
    plugins !== undefined && "commands" in plugins ? plugins.commands.find(({ name }) => name === "new") : undefined;
  const port = command !== undefined && "flags" in command ? command.flags?.["port"] : undefined;
  return port?.type === "enum" ? port.choices : [];
}
