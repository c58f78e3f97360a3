import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { Cluster } from "../fixtures/cluster.js";
import { needsPeers } from "../peers/require-peer.js";

interface ShownSetting {
  readonly key: string;
  readonly value: string;
  readonly default: string;
  readonly source: string;
  readonly description: string;
}

interface ShownEvent {
  readonly timestamp: string;
  readonly metadata: Readonly<Record<string, unknown>>;
}

describe("settings of the cluster", needsPeers("ssh"), () => {
  let cluster: Cluster;
  before(async () => {
    cluster = await Cluster.start({ config: { authentication: { session_ttl: "2h" } } });
  });
  after(() => cluster.stop());

  test("config get lists every setting with value, default, source and meaning", () => {
    const listed = list();
    assert.deepEqual(
      listed.map(({ key }) => key),
      listed.map(({ key }) => key).sort(),
    );
    for (const { description } of listed) assert.notEqual(description, "");
    assert.match(cluster.mezctlOk(["config", "get"]), /^KEY +VALUE +DEFAULT +SOURCE +ACCEPTS +DESCRIPTION\n/);
    assert.deepEqual(shown("session_ttl"), ["2h", "12h", "file"]);
    assert.deepEqual(shown("second_factor"), ["optional", "optional", "default"]);
  });

  test("config set, get and unset; what was set comes before the file", () => {
    cluster.mezctlOk(["config", "set", "session_ttl", "90m"]);
    assert.equal(cluster.mezctlOk(["config", "get", "session_ttl"]), "1h30m\n");
    assert.deepEqual(shown("session_ttl"), ["1h30m", "12h", "set"]);
    cluster.mezctlOk(["config", "unset", "session_ttl"]);
    assert.deepEqual(shown("session_ttl"), ["2h", "12h", "file"]);
  });

  test("each change is audited with old and new", () => {
    cluster.mezctlOk(["config", "set", "access_request_approvals", "3"]);
    const [event] = events("config.updated");
    assert.deepEqual(event?.metadata, { new: "3", new_source: "set", old: "1", old_source: "default" });
  });

  test("session_ttl holds for the next login", () => {
    for (const [ttl, hours] of [
      ["1h", 1],
      ["5h", 5],
    ] as const) {
      cluster.mezctlOk(["config", "set", "session_ttl", ttl]);
      cluster.person(`p${hours}`, ["--roles=access"]);
      const [login] = events("user.login", `--user=p${hours}`);
      const seconds = (Date.parse(String(login?.metadata["expires_at"])) - Date.parse(String(login?.timestamp))) / 1000;
      assert.equal(Math.round(seconds / 60), hours * 60);
    }
  });

  for (const [args, code, line] of [
    [
      ["config", "get", "lockmode"],
      5,
      /^mezctl: there is no setting "lockmode"; did you mean "lock_mode"\? known are access_request_approvals, /,
    ],
    [["config", "set", "lock_mode", "lax"], 2, /^mezctl: lock_mode cannot be "lax"; use strict or best_effort$/m],
    [["config", "set", "session_ttl", "25h"], 2, /^mezctl: session_ttl cannot be "25h"; use a duration from 1s to 1d$/m],
    [["config", "unset", "nothing"], 5, /^mezctl: there is no setting "nothing"; known are /],
  ] as const) {
    test(`${args.join(" ")}: one line that says what is right, exit code ${code}`, () => {
      const refused = cluster.mezctl(args);
      assert.equal(refused.code, code, refused.stderr);
      assert.match(refused.stderr, line);
      assert.equal(refused.stderr.trim().split("\n").length, 1);
    });
  }

  test("a reload takes what the file says now, without a restart", () => {
    cluster.mezctlOk(["config", "unset", "session_ttl"]);
    const text = readFileSync(cluster.configFile, "utf8");
    writeFileSync(cluster.configFile, text.replace(/"2h"/, '"3h"'));
    cluster.mezctlOk(["plugins", "reload"]);
    assert.deepEqual(shown("session_ttl"), ["3h", "12h", "file"]);
  });

  test("what was set outlives a restart", async () => {
    cluster.mezctlOk(["config", "set", "lock_mode", "best_effort"]);
    await cluster.server.stop();
    await cluster.startServer();
    assert.deepEqual(shown("lock_mode"), ["best_effort", "strict", "set"]);
  });

  test("only administrators change settings, and auditors read them", () => {
    const home = cluster.person("eve", ["--roles=access"]);
    const auditor = cluster.person("olga", ["--roles=auditor"]);
    assert.equal(cluster.mezctl(["config", "get"], { home }).code, 4);
    assert.equal(cluster.mezctl(["config", "get"], { home: auditor }).code, 0);
    assert.equal(cluster.mezctl(["config", "set", "second_factor", "off"], { home: auditor }).code, 4);
  });

  function events(type: string, ...flags: readonly string[]): readonly ShownEvent[] {
    return JSON.parse(cluster.mezctlOk(["audit", "ls", `--type=${type}`, ...flags, "--format=json"])) as ShownEvent[];
  }

  function list(): readonly ShownSetting[] {
    return JSON.parse(cluster.mezctlOk(["config", "get", "--format=json"])) as ShownSetting[];
  }

  function shown(key: string): readonly (string | undefined)[] {
    const found = list().find((setting) => setting.key === key);
    return [found?.value, found?.default, found?.source];
  }
});
