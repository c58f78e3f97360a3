import assert from "node:assert/strict";
import { cpSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { hashTree, listTree } from "../../core/packages/package-tree.js";
import pluginCatalogCommands from "../../plugins/plugin-catalog/commands.js";
import { AuthorWorkspace } from "../fixtures/author-workspace.js";
import { Cluster } from "../fixtures/cluster.js";
import { eventually } from "../fixtures/eventually.js";
import { DIRECTORY_TOKEN, PeopleDirectory } from "../fixtures/people-directory.js";
import { projectFile } from "../fixtures/project-file.js";
import { SshSession } from "../fixtures/ssh-session.js";
import { needsPeers } from "../peers/require-peer.js";

let workspace: AuthorWorkspace;
before(() => {
  workspace = new AuthorWorkspace();
});
after(() => workspace.remove());

describe("an author of plugins, with mezite installed from its tarball", () => {
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

describe("plugins that strangers wrote, in a server that was installed", needsPeers("ssh"), () => {
  const directory = new PeopleDirectory();
  let cluster: Cluster;
  let target: string;
  let connectorFolder: string;
  before(async () => {
    const examples = ["freezes", "recording-sqlite", "connector-directory"] as const;
    for (const name of examples)
      cpSync(fileURLToPath(projectFile(`test/packages/${name}`)), join(workspace.folder, name), { recursive: true });
    workspace.compile(...examples);
    const folders = examples.map((name) => workspace.install(join(workspace.folder, name), `mezite-plugin-${name}`));
    const [freezes, recordings] = await Promise.all(folders.map(integrityOf));
    connectorFolder = folders[2] as string;
    cluster = await Cluster.start({
      installed: join(workspace.folder, "node_modules", "mezite"),
      config: {
        plugins_dir: workspace.folder,
        plugins: {
          freezes: { from: `path:${folders[0]}`, integrity: freezes, config: { longest: "8h" } },
          "recording.sqlite": {
            ...{ from: "npm:mezite-plugin-recording-sqlite@1.0.0", integrity: recordings },
            isolation: "process",
          },
        },
        authentication: {
          connector_roles: [{ connector: "directory", claim: "groups", value: "engineering", roles: ["engineer"] }],
        },
      },
    });
    target = `${cluster.login}@${cluster.nodeName}`;
  });
  after(async () => {
    directory.close();
    await cluster?.stop();
  });

  test("pass their own tests", () => {
    const tests = ["freezes", "recording-sqlite", "connector-directory"].map((name) => `${name}/dist/*.test.js`);
    workspace.node(["--test", "--test-concurrency=2", "--test-reporter=tap", ...tests]);
  });

  test("bring commands that mezctl builds from their description, and that reach every process", async () => {
    const session = await SshSession.open(cluster, target);
    const args = ["freezes", "create", cluster.nodeName, "--ttl=1h", "--reason=Release 4", "--format=json"];
    const { id } = JSON.parse(cluster.mezctlOk(args)) as { id: string };
    assert.equal(await session.ended(), 255);
    assert.match(session.errors, /web-01 is frozen until .*: Release 4/);
    const refused = cluster.ssh([target, "true"]);
    assert.equal(refused.code, 255);
    assert.match(refused.stderr, /web-01 is frozen until .*: Release 4/);
    const [row] = JSON.parse(cluster.mezctlOk(["freezes", "ls", "--format=json"])) as { id: string; created_by: string }[];
    assert.deepEqual([row?.id, row?.created_by], [id, "admin"]);
    cluster.mezctlOk(["freezes", "lift", id]);
    await cluster.online(cluster.nodeName);
    assert.match(cluster.mezctlOk(["audit", "ls", "--type=freeze.lifted"]), /freeze\.lifted/);
  });

  test("keep recordings in a process of their own", async () => {
    assert.equal(cluster.ssh([target, "echo kept by a stranger"]).code, 0);
    const shown = () => cluster.mezctlOk(["recordings", "ls", "--contains=kept by a stranger", "--format=json"]);
    const found = await eventually(() => (JSON.parse(shown()) as { id: string }[])[0]);
    const file = join(cluster.folder, "recording.cast");
    await eventually(() => cluster.mezctl(["recordings", "download", found?.id ?? "", `--out=${file}`]).code === 0);
    assert.match(readFileSync(file, "utf8"), /kept by a stranger/);
  });

  test("sign people in with the passwords of a directory, from a process of their own", async () => {
    const settings = join(cluster.folder, "directory.yaml");
    writeFileSync(join(cluster.folder, "directory-token"), DIRECTORY_TOKEN, { mode: 0o600 });
    writeFileSync(
      settings,
      JSON.stringify({ url: await directory.listen(), token: `file:${join(cluster.folder, "directory-token")}` }),
    );
    cluster.mezctlOk(["plugins", "add", `path:${connectorFolder}`, "--isolation=process", `--from-file=${settings}`]);
    const { health } = JSON.parse(cluster.mezctlOk(["plugins", "inspect", "connector.directory", "--format=json"])) as {
      health: string;
    };
    assert.match(health, /^running/);
    const role = join(cluster.folder, "engineer.yaml");
    const allow = { node_labels: { "*": "*" }, logins: ["{{external.logins}}"] };
    writeFileSync(role, JSON.stringify({ kind: "role", version: "v1", metadata: { name: "engineer" }, spec: { allow } }));
    cluster.mezctlOk(["roles", "create", `--from-file=${role}`]);
    directory.people.set("alice", {
      login: "alice",
      active: true,
      groups: ["engineering"],
      attributes: { logins: [cluster.login] },
    });
    const home = join(cluster.folder, "home-alice");
    mkdirSync(home, { mode: 0o700 });
    const login = ["login", "--user=alice", "--connector=directory", "--password-stdin"];
    assert.equal((await cluster.mshMeanwhile(login, { home, input: "wrong\n" })).code, 3);
    const right = await cluster.mshMeanwhile(login, { home, input: "right\n" });
    assert.equal(right.code, 0, right.stderr);
    const { code, stdout, stderr } = cluster.ssh([target, "echo hello"], { home });
    assert.deepEqual([code, stdout], [0, "hello\n"], stderr);
    const local = cluster.msh(["login", "--user=alice", "--password-stdin"], { home, input: "right\n" });
    assert.equal(local.code, 3);
    assert.match(cluster.mezctlOk(["users", "ls"]), /alice .*engineer/);
  });

  test("bring commands of their own to a mezctl that has the package, and only the one that was pinned", async () => {
    const home = join(cluster.folder, "with-package");
    mkdirSync(join(home, ".mezite"), { recursive: true, mode: 0o700 });
    const from = `path:${join(workspace.folder, "node_modules", "mezite-plugin-freezes")}`;
    const pinned = (integrity: string): void =>
      writeFileSync(join(home, ".mezite", "mezctl.yaml"), JSON.stringify({ plugins: { freezes: { from, integrity } } }), {
        mode: 0o600,
      });
    pinned(await integrityOf(from.slice("path:".length)));
    const env = {
      MEZITE_AUTH_TOKEN: cluster
        .mezctlOk(["login", "--user=admin", "--password-stdin"], { input: `${cluster.adminPassword}\n` })
        .trim(),
    };
    const { code, stderr } = cluster.mezctl(["freezes", "lunch", "db-01"], { home, env });
    assert.equal(code, 0, stderr);
    assert.match(stderr, /^db-01 is frozen until 20/);
    assert.match(cluster.mezctlOk(["--help"], { home, env }), /^ +freezes +Let nobody work/m);
    assert.equal(cluster.mezctl(["freezes", "lunch", "db-02"]).code, 2, "without the package there is what is described");
    pinned(`sha256-${"0".repeat(64)}`);
    assert.match(
      cluster.mezctl(["freezes", "ls"], { home, env }).stderr,
      /plugin "freezes": the package at .* has integrity sha256-/,
    );
  });

  test("are gone from the command line when they are switched off, and it says so", () => {
    cluster.mezctlOk(["plugins", "disable", "freezes"]);
    const { code, stderr } = cluster.mezctl(["freezes", "ls"]);
    assert.equal(code, 7);
    assert.match(stderr, /^mezctl: plugin "freezes" is not enabled on cluster test$/m);
    cluster.mezctlOk(["plugins", "enable", "freezes"]);
    cluster.mezctlOk(["freezes", "ls"]);
  });
});

// --- internal ---

/** What `mezctl plugins pin` prints. */
async function integrityOf(folder: string): Promise<string> {
  const { root, entries } = await listTree(folder);
  return `sha256-${await hashTree(root, entries)}`;
}

function templatePorts(): readonly string[] {
  const [plugins] = pluginCatalogCommands.mezctl ?? [];
  const command =
    plugins !== undefined && "commands" in plugins ? plugins.commands.find(({ name }) => name === "new") : undefined;
  const port = command !== undefined && "flags" in command ? command.flags?.["port"] : undefined;
  return port?.type === "enum" ? port.choices : [];
}
