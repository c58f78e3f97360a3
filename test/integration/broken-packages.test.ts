import assert from "node:assert/strict";
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { hashOf } from "../../core/packages/package-store.js";
import { Cluster } from "../fixtures/cluster.js";
import { ended } from "../fixtures/ended.js";
import { eventually } from "../fixtures/eventually.js";
import { freePorts } from "../fixtures/free-ports.js";
import { projectFile } from "../fixtures/project-file.js";
import { SshSession } from "../fixtures/ssh-session.js";

const BROKEN = fileURLToPath(projectFile("test/fixtures/packages/broken"));

interface Door {
  /** Folder of the package, and its id unless `id` says otherwise. */
  readonly name: string;
  readonly id?: string;
  readonly integrity?: string;
  readonly config?: object;
  /** What is said, at every door. */
  readonly message: RegExp;
  /** What `mezd config check` says, when that is something else; `null` when it lets it through. */
  readonly check?: RegExp | null;
  /** What `mezctl plugins add` says, when that is something else. */
  readonly add?: RegExp;
  readonly addCode: number;
}

const DOORS: readonly Door[] = [
  {
    name: "wrong-hash",
    integrity: `sha256-${"0".repeat(64)}`,
    message: /plugin "wrong-hash".* has integrity sha256-[0-9a-f]{64}, not sha256-0{64}/,
    addCode: 9,
  },
  { name: "wrong-api-version", message: /plugin "wrong-api-version": apiVersion is 2; this release has 1/, addCode: 9 },
  { name: "other-host", message: /plugin "other-host": it asks for mezite \^7\.0\.0; this is/, addCode: 9 },
  {
    name: "unknown-config-key",
    config: { colour: "red" },
    message: /unknown key "colour" under plugins\.unknown-config-key\.config; did you mean "color"\?/,
    addCode: 2,
  },
  { name: "throws-in-register", message: /registering plugin "throws-in-register": the moon is in the wrong phase/, addCode: 9 },
  {
    name: "never-starts",
    message: /start of plugin "never-starts": it did not finish within 30 s/,
    check: null,
    addCode: 9,
  },
  {
    name: "takes-builtin-id",
    id: "locks",
    message: /plugin "locks" is part of this build; a package cannot take its id/,
    addCode: 6,
  },
  { name: "takes-command", message: /plugin "takes-command": command "mezctl locks" is taken by plugin "locks"/, addCode: 9 },
  { name: "takes-table", message: /plugin "takes-table": table "users" is taken by plugin "users"/, addCode: 9 },
  {
    name: "lies",
    message: /plugin "lies" is not what its manifest says: implements names "guard\/lies", which register\(\) does not/,
    addCode: 9,
  },
  {
    name: "lies-apart",
    message:
      /plugin "lies-apart" is not what its manifest says: implements names "audit-forwarder\/broken", which register\(\) does not/,
    addCode: 9,
  },
  {
    name: "imports-outside",
    message: /plugin "imports-outside" imports "ssh2", which its package does not hold; bundle it/,
    addCode: 9,
  },
];

describe("a broken package", { concurrency: 2 }, () => {
  let cluster: Cluster;
  let plugins: string;
  before(async () => {
    cluster = await Cluster.start({ node: "none" });
    cpSync(BROKEN, join(cluster.folder, "broken"), { recursive: true });
    plugins = cluster.mezctlOk(["plugins", "ls", "--format=json"]);
  });
  after(async () => {
    try {
      assert.deepEqual(statesOf(cluster.mezctlOk(["plugins", "ls", "--format=json"])), statesOf(plugins));
    } finally {
      await cluster.stop();
    }
  });

  for (const { name, id = name, integrity, config, message, check = message, add = message, addCode } of DOORS) {
    test(`${name}: stops the boot, and mezd config check says so before`, async () => {
      const folder = mkdtempSync(join(tmpdir(), "mezite-broken-"));
      try {
        const [auth] = (await freePorts(1)) as [number];
        const place = join(BROKEN, name);
        const entry = { from: `path:${place}`, integrity: integrity ?? `sha256-${await hashOf(place)}`, config };
        const file = join(folder, "mezite.yaml");
        writeFileSync(
          file,
          JSON.stringify({
            data_dir: join(folder, "data"),
            auth: { listen_addr: `localhost:${auth}` },
            proxy: { enabled: false },
            plugins: { [id]: entry },
          }),
        );
        const checked = cluster.mezd(["config", "check", `--config=${file}`]);
        if (check === null) assert.equal(checked.code, 0, checked.stderr);
        else {
          assert.notEqual(checked.code, 0);
          assert.match(checked.stderr, check);
        }
        const started = cluster.daemon(["start", `--config=${file}`]);
        await started.printed(message);
        assert.notEqual(await ended(started.process), 0);
      } finally {
        rmSync(folder, { recursive: true, force: true });
      }
    });

    test(`${name}: cannot be added to a running cluster, which goes on as it was`, async () => {
      const flags = [
        ...(integrity === undefined ? [] : [`--integrity=${integrity}`]),
        ...(config === undefined ? [] : ["--from-file=-"]),
      ];
      const input = JSON.stringify(config ?? {});
      const refused = await cluster.mezctlMeanwhile(["plugins", "add", `path:broken/${name}`, ...flags], { input });
      assert.match(refused.stderr, add);
      assert.equal(refused.code, addCode, refused.stderr);
    });
  }
});

describe("a package that breaks when it runs", () => {
  let cluster: Cluster;
  before(async () => {
    cluster = await Cluster.start();
    cpSync(BROKEN, join(cluster.folder, "broken"), { recursive: true });
    mkdirSync(join(cluster.folder, "node_modules"));
  });
  after(() => cluster.stop());

  test("leaks-timers: what is left of it is stopped and told of", async () => {
    cluster.mezctlOk(["plugins", "add", "path:broken/leaks-timers"]);
    cluster.mezctlOk(["plugins", "reload", "leaks-timers"]);
    await cluster.server.printed(
      /"plugin":"leaks-timers","timers":3,"msg":"the plugin left timers running when it was disposed of; they were stopped"/,
    );
    cluster.mezctlOk(["plugins", "rm", "leaks-timers"]);
  });

  for (const [name, why] of [
    ["crashes-under-load", /ended by SIGABRT/],
    ["allocates-without-end", /used more than 96 MiB of memory/],
  ] as const) {
    test(`${name}: its process is ended and started again, and sessions, logins and calls go on`, async () => {
      const target = `${cluster.login}@${cluster.nodeName}`;
      const session = await SshSession.open(cluster, target);
      cluster.mezctlOk(["plugins", "add", `path:broken/${name}`, "--memory-mib=96"]);
      const end = new RegExp(`"plugin":"${name}".*the process of the plugin has ended: .*${why.source}`);
      // Events are given to it from a moment later on.
      await eventually(() => cluster.ssh([target, "true"]).code === 0 && end.test(cluster.server.output));
      await eventually(() => {
        const shown = JSON.parse(cluster.mezctlOk(["plugins", "inspect", name, "--format=json"])) as ShownPlugin;
        return shown.last_failure !== "" && /restarts?/.test(shown.health);
      });
      assert.equal(cluster.mezctl(["users", "ls"]).code, 0);
      assert.equal(cluster.ssh([target, "exit 7"]).code, 7);
      await session.works();
      await session.close();
      cluster.mezctlOk(["plugins", "rm", name]);
      assert.equal(cluster.mezctl(["audit", "verify"]).code, 0);
      assert.equal(cluster.server.process.exitCode, null);
    });
  }
});

// --- internal ---

interface ShownPlugin {
  readonly last_failure: string;
  readonly health: string;
}

/** What is known, and whether it is on. */
function statesOf(listed: string): readonly (readonly [string, string])[] {
  return (JSON.parse(listed) as { id: string; state: string }[]).map(({ id, state }) => [id, state]);
}
