import assert from "node:assert/strict";
import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { hashOf } from "../../core/packages/package-store.js";
import { Cluster } from "../fixtures/cluster.js";
import { eventually } from "../fixtures/eventually.js";
import { packageFiles, temporaryFolder, writePackage } from "../fixtures/package.js";

/** A subsystem that notes in its table, at each start, which version it is, and logs all that it finds. */
function diary(version: number, more = ""): string {
  return `const { DATABASE, LOGGER, definePlugin } = require("mezite/plugin");
const { defineEntity, Migration, p } = require("mezite/plugin/tables");
const Entry = defineEntity({ name: "DiaryEntry", tableName: "diary_entries", properties: { id: p.integer().primary(), version: p.integer() } });
class Create extends Migration { up() { this.addSql("create table diary_entries (id integer primary key, version integer not null)"); } }
class Index extends Migration { up() { this.addSql("create index diary_version on diary_entries (version)"); } }
const migrations = [{ name: "001", class: Create }, { name: "002", class: Index }].slice(0, ${version});
exports.default = definePlugin({ register(host, config) {
  host.store([Entry], migrations);
  host.run((resolve) => ({ async start() {
    await resolve(DATABASE).transaction(async (tx) => {
      tx.em.persist(tx.em.create(Entry, { version: ${version} }));
      await tx.em.flush();
    });
    const rows = await resolve(DATABASE).read((em) => em.find(Entry, {}, { orderBy: { id: "asc" } }));
    resolve(LOGGER).info("diary", { versions: rows.map((row) => row.version).join(), word: config.word });
    ${more}
  } }));
} });
`;
}

const SCHEMA = {
  type: "object",
  additionalProperties: false,
  properties: { word: { type: "string", default: "none", description: "any word" } },
};
const diaryFiles = (version: number, more?: string) =>
  packageFiles("diary", diary(version, more), {
    version: `${version}.0.0`,
    config: SCHEMA,
    contributes: { tables: ["diary_entries"] },
  });

describe("plugins from packages", () => {
  let cluster: Cluster;
  const shown = (): Record<string, unknown> => JSON.parse(cluster.mezctlOk(["plugins", "inspect", "diary", "--format=json"]));
  const write = (version: number, more?: string): string =>
    writePackage(join(cluster.folder, "diary"), diaryFiles(version, more));
  before(async () => {
    cluster = await Cluster.start({ node: "none" });
  });
  after(() => cluster.stop());

  test("are looked at without being run", async () => {
    const integrity = `sha256-${await hashOf(write(1))}`;
    const found: unknown = JSON.parse(cluster.mezctlOk(["plugins", "pin", "path:diary", "--format=json"]));
    assert.deepEqual(found, { id: "diary", version: "1.0.0", integrity });
    assert.equal(cluster.mezctl(["plugins", "inspect", "diary"]).code, 5);
  });

  test("are added, with a config, and are shown with where they come from", async () => {
    cluster.mezctlOk(["plugins", "add", "path:diary", "--from-file=-"], { input: "word: first\n" });
    await cluster.server.printed(/"plugin":"diary","versions":"1","word":"first"/);
    const { state, decided_by, from, integrity, isolation } = shown();
    assert.deepEqual([state, decided_by, from, isolation], ["on", "command", "path:diary", "none"]);
    assert.match(String(integrity), /^sha256-[0-9a-f]{64}$/);
    assert.match(cluster.mezctlOk(["audit", "ls", "--type=plugin.added", "--format=json"]), /"resource_name": ?"diary"/);
  });

  test("are evaluated again by a reload, with their tables", async () => {
    cluster.mezctlOk(["plugins", "reload", "diary"]);
    await cluster.server.printed(/"versions":"1,1","word":"first"/);
    cluster.mezctlOk(["plugins", "disable", "diary"]);
    cluster.mezctlOk(["plugins", "enable", "diary"]);
    await cluster.server.printed(/"versions":"1,1,1","word":"first"/);
  });

  test("run what was pinned, until what is there now is pinned", async () => {
    write(2);
    const { code, stderr } = cluster.mezctl(["plugins", "reload", "diary"]);
    assert.equal(code, 9, stderr);
    assert.match(stderr, /plugin "diary": the package at .*\/diary has integrity sha256-.*, not sha256-/);
    assert.equal(shown().version, "1.0.0");
    cluster.mezctlOk(["plugins", "pin", "diary"]);
    await cluster.server.printed(/"versions":"1,1,1,2","word":"first"/);
    assert.equal(shown().version, "2.0.0");
  });

  test("that do not start in a new version leave the one before in place", async () => {
    write(2, "throw new Error('no good');");
    const { code, stderr } = cluster.mezctl(["plugins", "pin", "diary"]);
    assert.equal(code, 9, stderr);
    assert.match(stderr, /start of plugin "diary": no good/);
    write(2);
    cluster.mezctlOk(["plugins", "reload", "diary"]);
    await cluster.server.printed(/"versions":"1,1,1,2,2,2"/);
  });

  test("are there after a restart, and copies that are not used are gone", async () => {
    await cluster.server.stop();
    await cluster.startServer();
    assert.match(cluster.server.output, /"versions":"1,1,1,2,2,2,2","word":"first"/);
    assert.equal(readdirSync(join(cluster.dataDirectory, "plugins/diary")).length, 1);
    assert.equal(shown().decided_by, "command");
  });

  test("run from the copy of what was decided when a start finds another package, and everybody is told", async () => {
    await cluster.server.stop();
    write(3);
    await cluster.startServer();
    assert.match(cluster.server.output, /"versions":"1,1,1,2,2,2,2,2","word":"first"/);
    assert.equal(shown().version, "2.0.0");
    const warning = /warning: the server runs its own copy of plugin diary: the package at .* has integrity sha256-/;
    assert.match(cluster.mezctl(["plugins", "ls"]).stderr, warning);
    const [event] = JSON.parse(cluster.mezctlOk(["audit", "ls", "--type=plugin.package.refused", "--format=json"]));
    assert.deepEqual([event.resource_name, event.metadata.runs], ["diary", "copy"]);
  });

  test("are left out at a start that finds neither them nor their copy, until they are decided on anew", async () => {
    await cluster.server.stop();
    rmSync(join(cluster.dataDirectory, "plugins/diary"), { recursive: true });
    await cluster.startServer();
    assert.doesNotMatch(cluster.server.output, /"msg":"diary"/);
    assert.match(cluster.server.output, /this server runs without a plugin/);
    const { state, version } = shown();
    assert.deepEqual([state, version], ["missing", ""]);
    assert.match(cluster.mezctl(["plugins", "ls"]).stderr, /warning: the server runs without plugin diary: the package at /);
    assert.match(cluster.mezctl(["plugins", "enable", "diary"]).stderr, /decide anew with "mezctl plugins pin"/);
    cluster.mezctlOk(["plugins", "reload"]);
    cluster.mezctlOk(["plugins", "pin", "diary"]);
    await cluster.server.printed(/"versions":"1,1,1,2,2,2,2,2,3","word":"first"/);
    assert.deepEqual([shown().state, cluster.mezctl(["plugins", "ls"]).stderr], ["on", ""]);
  });

  test("are taken out, and their data stays", async () => {
    cluster.mezctlOk(["plugins", "rm", "diary"]);
    assert.equal(cluster.mezctl(["plugins", "inspect", "diary"]).code, 5);
    assert.deepEqual(JSON.parse(readFileSync(join(cluster.dataDirectory, "plugins.json"), "utf8")), {});
    cluster.mezctlOk(["plugins", "add", "path:diary"]);
    await cluster.server.printed(/"versions":"1,1,1,2,2,2,2,2,3,3","word":"none"/);
    cluster.mezctlOk(["plugins", "rm", "diary"]);
  });

  test("that keep people out are not left out, though neither package nor copy is there", async () => {
    const guard = `const { GUARD, definePlugin } = require("mezite/plugin");
exports.default = definePlugin({ register(host) { host.implement(GUARD, "watch", () => ({ refusal: () => null, onChange: () => () => {} })); } });
`;
    const files = packageFiles("watch", guard, { implements: [{ port: "guard", name: "watch" }] });
    const folder = writePackage(join(cluster.folder, "watch"), files);
    cluster.mezctlOk(["plugins", "add", "path:watch"]);
    await cluster.server.stop();
    const file = join(cluster.dataDirectory, "plugins.json");
    const { watch, ...rest } = JSON.parse(readFileSync(file, "utf8")) as Record<string, { ports: unknown }>;
    assert.deepEqual(watch?.ports, ["guard"]);
    // As a release before wrote it.
    writeFileSync(file, JSON.stringify({ ...rest, watch: { ...watch, ports: undefined } }));
    await cluster.startServer();
    await cluster.server.stop();
    rmSync(folder, { recursive: true });
    rmSync(join(cluster.dataDirectory, "plugins/watch"), { recursive: true });
    const refused = cluster.daemon(["start", `--config=${cluster.configFile}`]);
    await refused.printed(/without it more people would be let in: put the package back, or write "watch": false/);
    await eventually(() => refused.process.exitCode !== null);
    writeFileSync(file, JSON.stringify({ ...rest, watch: false }));
    await cluster.startServer();
    assert.equal(cluster.mezctl(["plugins", "inspect", "watch"]).code, 5);
    const removed = cluster.mezctlOk(["audit", "ls", "--type=plugin.removed", "--format=json"]);
    assert.match(removed, /"resource_name": ?"watch"[\s\S]*"found": ?"plugins\.json"/);
  });

  test("of the config file come and go with it, and commands say so", async () => {
    const config = JSON.parse(readFileSync(cluster.configFile, "utf8")) as Record<string, unknown>;
    const integrity = `sha256-${await hashOf(join(cluster.folder, "diary"))}`;
    const plugins = { diary: { from: "path:diary", integrity, config: { word: "written" } } };
    writeFileSync(cluster.configFile, JSON.stringify({ ...config, plugins }));
    cluster.mezctlOk(["plugins", "reload"]);
    await cluster.server.printed(/"word":"written"/);
    assert.equal(shown().decided_by, "config");
    for (const [command, message] of [
      [["add", "path:diary"], /plugin "diary" is in .*mezite\.yaml; change it there/],
      [["pin", "diary"], /write integrity: sha256-[0-9a-f]{64} there/],
      [["rm", "diary"], /is in .*mezite\.yaml; take it out there/],
    ] as const) {
      const { code, stderr } = cluster.mezctl(["plugins", ...command]);
      assert.equal(code, 6, stderr);
      assert.match(stderr, message);
    }
    writeFileSync(cluster.configFile, JSON.stringify(config));
    cluster.mezctlOk(["plugins", "reload"]);
    assert.equal(cluster.mezctl(["plugins", "inspect", "diary"]).code, 5);
  });

  test("are not added from elsewhere, nor by others than administrators", (t) => {
    const elsewhere = writePackage(join(temporaryFolder(t), "x"), packageFiles("x"));
    const { code, stderr } = cluster.mezctl(["plugins", "add", `path:${elsewhere}`]);
    assert.equal(code, 9, stderr);
    assert.match(stderr, /is not inside .* \(plugins_dir\); commands take packages from there only/);
    const home = cluster.person("mallory", ["--roles=access"]);
    for (const verb of [
      ["add", "path:diary"],
      ["pin", "path:diary"],
      ["rm", "diary"],
    ]) {
      assert.equal(cluster.mezctl(["plugins", ...verb], { home }).code, 4);
    }
  });
});
