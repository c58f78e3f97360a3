import assert from "node:assert/strict";
import { after, before, beforeEach, test } from "node:test";
import { isMezError } from "../../core/errors/error.js";
import type { ChoiceSetting } from "../../core/plugin/cluster-settings.js";
import type { DeclaredSetting } from "../../core/ports/cluster-setting.js";
import { openTestDatabase, type TestDatabase } from "../../test/fixtures/database.js";
import { ACCESS_REQUEST_APPROVALS } from "../access-requests/api.js";
import { SECOND_FACTOR } from "./api.js";
import { CreateClusterSettings } from "./migrations/001-cluster-settings.js";
import { SETTING_ENTITIES } from "./setting-repository.js";
import { SettingService } from "./setting-service.js";

const AUTHOR = { userName: "root", userRoles: ["admin"], clientIp: "192.0.2.7" };
const NOW = new Date("2026-03-01T12:00:00Z");
const MODE: ChoiceSetting = { key: "mode", type: "choice", choices: ["node", "off"], default: "node", description: "" };
const clock = { now: () => NOW };
let opened: TestDatabase;
let declared: DeclaredSetting[];
let settings: SettingService;

before(async () => {
  const migrations = [{ name: "001-cluster-settings", class: CreateClusterSettings }];
  opened = await openTestDatabase({ entities: SETTING_ENTITIES, migrations, clock });
});
after(() => opened.close());
beforeEach(async () => {
  declared = [SECOND_FACTOR, ACCESS_REQUEST_APPROVALS].map((setting) => ({ setting, file: null }));
  declared.push({ setting: MODE, file: { key: "plugins.x.config.mode", value: "node" } });
  settings = new SettingService({ database: opened.database, clock, declared: { all: () => declared } });
  for (const { setting } of declared) await settings.unset(setting.key, AUTHOR);
  for (const list of [opened.audits, opened.puts]) list.length = 0;
});

test("sets a setting: a row, an entry for every process, and an audit record with old and new in one commit", async () => {
  const { value, source, stored } = await settings.set("second_factor", "required", AUTHOR);
  assert.deepEqual([value, source, stored?.updatedBy, stored?.updatedAt], ["required", "set", "root", NOW]);
  assert.deepEqual(opened.puts, [{ name: "cluster-settings", key: "second_factor", value: "required" }]);
  const [audit] = opened.audits;
  assert.deepEqual(
    [audit?.type, audit?.userName, audit?.resourceType, audit?.resourceName],
    ["config.updated", "root", "setting", "second_factor"],
  );
  assert.deepEqual(audit?.metadata, { old: "optional", new: "required", old_source: "default", new_source: "set" });
  assert.equal((await settings.get("second_factor")).value, "required");
});

test("lists all by key, with what holds and why", async () => {
  await settings.set("access_request_approvals", "2", AUTHOR);
  declared[2] = { setting: MODE, file: { key: "plugins.x.config.mode", value: "off" } };
  assert.deepEqual(
    (await settings.list()).map(({ setting, value, source }) => [setting.key, value, source]),
    [
      ["access_request_approvals", 2, "set"],
      ["mode", "off", "file"],
      ["second_factor", "optional", "default"],
    ],
  );
});

test("what was set comes before the file, and the file before the default", async () => {
  declared[2] = { setting: MODE, file: { key: "plugins.x.config.mode", value: "off" } };
  assert.deepEqual((await settings.set("mode", "node", AUTHOR)).value, "node");
  assert.deepEqual((await settings.get("mode")).source, "set");
  const { value, source } = await settings.unset("mode", AUTHOR);
  assert.deepEqual([value, source], ["off", "file"]);
  assert.deepEqual(opened.puts.at(-1)?.value, "off");
  assert.deepEqual(opened.audits.at(-1)?.metadata, { old: "node", new: "off", old_source: "set", new_source: "file" });
});

test("a change that changes nothing is not audited", async () => {
  await settings.set("second_factor", "off", AUTHOR);
  await settings.set("second_factor", "off", AUTHOR);
  await settings.unset("mode", AUTHOR);
  assert.equal(opened.audits.length, 1);
});

test("refuses unknown keys and values, and stores nothing", async () => {
  await assert.rejects(settings.set("second_facter", "off", AUTHOR), (error) => {
    assert.ok(isMezError(error, "SETTING_UNKNOWN"));
    assert.equal(
      error.message,
      'there is no setting "second_facter"; did you mean "second_factor"? known are access_request_approvals, mode, second_factor',
    );
    return true;
  });
  await assert.rejects(settings.get("__proto__"), (error) => isMezError(error, "SETTING_UNKNOWN"));
  await assert.rejects(settings.unset("", AUTHOR), (error) => isMezError(error, "SETTING_UNKNOWN"));
  await assert.rejects(settings.set("second_factor", "on", AUTHOR), (error) => isMezError(error, "INVALID_ARGUMENT"));
  assert.deepEqual([opened.puts, opened.audits], [[], []]);
});

test("two changes at once are one after the other: each record's old is the new of the one before", async () => {
  await Promise.all(["2", "3", "4"].map((value) => settings.set("access_request_approvals", value, AUTHOR)));
  const steps = opened.audits.map(({ metadata }) => [metadata?.["old"], metadata?.["new"]]);
  assert.deepEqual(
    steps.map(([old]) => old),
    ["1", ...steps.slice(0, 2).map(([, next]) => next)],
  );
  assert.equal((await settings.get("access_request_approvals")).value, Number(steps[2]?.[1]));
});

test("a value that a newer release stored counts as not set, and can be replaced", async () => {
  await settings.set("mode", "off", AUTHOR);
  declared[2] = { setting: { ...MODE, choices: ["node", "proxy"] }, file: null };
  assert.deepEqual(await settings.entries(), [
    ["access_request_approvals", 1],
    ["mode", "node"],
    ["second_factor", "optional"],
  ]);
  assert.equal((await settings.set("mode", "proxy", AUTHOR)).value, "proxy");
});

test("the setting of a plugin that is off is not shown, and is kept until it is on again", async () => {
  await settings.set("mode", "off", AUTHOR);
  const [mode] = declared.splice(2, 1);
  assert.equal((await settings.list()).length, 2);
  await settings.publish();
  assert.deepEqual(opened.removes.at(-1), { name: "cluster-settings", key: "mode", value: undefined });
  await assert.rejects(settings.get("mode"), (error) => isMezError(error, "SETTING_UNKNOWN"));
  declared.push(mode as DeclaredSetting);
  assert.equal((await settings.get("mode")).value, "off");
});

test("publishing tells watchers of values of the file that changed meanwhile", async () => {
  declared[2] = { setting: MODE, file: { key: "plugins.x.config.mode", value: "off" } };
  await settings.publish();
  assert.deepEqual(opened.puts.find(({ key }) => key === "mode")?.value, "off");
  assert.deepEqual(opened.audits, []);
});
