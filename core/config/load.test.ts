import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { manifestOf } from "../../test/fixtures/plugins.js";
import { MezError } from "../errors/error.js";
import { Secret } from "../plugin/secret.js";
import { loadConfig } from "./load.js";

const MANIFESTS = [
  manifestOf("storage.sqlite", {
    section: "database",
    runsIn: ["auth"],
    implements: [{ port: "storage-driver", name: "sqlite" }],
    config: { type: "object", additionalProperties: false, properties: { path: { type: "string", default: "mezite.db" } } },
  }),
  manifestOf("ssh-proxy", {
    section: "proxy",
    runsIn: ["proxy"],
    config: {
      type: "object",
      additionalProperties: false,
      properties: { ssh_listen_addr: { type: "string", default: ":3023" } },
    },
  }),
  manifestOf("ssh-node", {
    section: "node",
    runsIn: ["node"],
    config: { type: "object", additionalProperties: false, properties: { name: { type: "string" } } },
  }),
  manifestOf("recording.s3", {
    runsIn: ["auth"],
    secrets: ["/secret_key"],
    config: {
      type: "object",
      additionalProperties: false,
      properties: {
        bucket: { type: "string" },
        secret_key: { type: "string" },
        parallel: { type: "integer", default: 4 },
        sse: { type: "boolean", default: false },
        part_timeout: { type: "string", format: "duration" },
      },
    },
  }),
];

function fileOf(t: TestContext, text: string, name = "mezite.yaml"): string {
  const folder = mkdtempSync(join(tmpdir(), "mezite-config-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  writeFileSync(join(folder, name), text, { mode: 0o600 });
  return join(folder, name);
}

test("fills in defaults for a file with nothing but a cluster name", async (t) => {
  const config = await loadConfig(fileOf(t, "cluster_name: prod\n"), MANIFESTS, {});
  assert.equal(config.clusterName, "prod");
  assert.deepEqual([...config.roles], ["auth", "proxy"]);
  assert.deepEqual(config.auth, { listenAddress: ":3025", addresses: ["localhost:3025"] });
  assert.equal(config.databaseDriver, "sqlite");
  assert.deepEqual(config.plugins.get("ssh-proxy"), { enabled: null, config: { ssh_listen_addr: ":3023" } });
  assert.deepEqual(config.plugins.get("recording.s3"), { enabled: null, config: { parallel: 4, sse: false } });
  assert.ok(Object.isFrozen(config.plugins.get("recording.s3")?.config));
});

test("reads relative paths from the folder of the file", async (t) => {
  const file = fileOf(t, "data_dir: state\n");
  assert.equal((await loadConfig(file, MANIFESTS, {})).dataDirectory, join(file, "..", "state"));
});

test("takes a plugin that stands under plugins as switched on", async (t) => {
  const config = await loadConfig(fileOf(t, "plugins: { recording.s3: { config: { bucket: acme } } }\n"), MANIFESTS, {});
  assert.equal(config.plugins.get("recording.s3")?.enabled, true);
});

test("lays variables over the file, and the command line over both", async (t) => {
  const env = {
    MEZITE_CLUSTER_NAME: "from-env",
    MEZITE_PLUGINS_RECORDING_S3_PARALLEL: "9",
    MEZITE_PLUGINS_RECORDING_S3_SSE: "true",
    MEZITE_NODE_NAME: "env-node",
  };
  const config = await loadConfig(fileOf(t, "cluster_name: from-file\nnode: { name: file-node }\n"), MANIFESTS, env, [
    { path: ["node", "name"], value: "flag-node", flag: "--name" },
    { path: ["node", "labels"], value: undefined, flag: "--labels" },
  ]);
  assert.equal(config.clusterName, "from-env");
  assert.deepEqual(config.plugins.get("recording.s3")?.config, { parallel: 9, sse: true });
  assert.deepEqual(config.plugins.get("ssh-node")?.config, { name: "flag-node" });
});

test("reads secrets from a variable or a private file, and never shows them", async (t) => {
  const secret = fileOf(t, "s3cret\nsecond line\n", "key");
  for (const [written, env] of [
    [`file:${secret}`, {}],
    ["env:S3_KEY", { S3_KEY: "s3cret" }],
  ] as const) {
    const config = await loadConfig(
      fileOf(t, `plugins: { recording.s3: { config: { secret_key: "${written}" } } }\n`),
      MANIFESTS,
      env,
    );
    const settings = config.plugins.get("recording.s3")?.config as { secret_key: Secret } | undefined;
    assert.equal(settings?.secret_key.expose(), "s3cret");
    assert.ok(!JSON.stringify([...config.plugins]).includes("s3cret"));
  }
});

const REFUSED: readonly (readonly [name: string, text: string, env: Record<string, string>, message: RegExp])[] = [
  ["a port that is none", "auth: { listen_addr: localhost:99999 }\n", {}, /address "localhost:99999" is not valid/],
  ["an unknown section", "cluster_name: a\nproxi: {}\n", {}, /mezite\.yaml:2: unknown key "proxi"/],
  [
    "an unknown key of a plugin's section",
    "proxy:\n  ssh_listen: :22\n",
    {},
    /mezite\.yaml:2: unknown key "ssh_listen".*ssh_listen_addr/,
  ],
  ["an unknown plugin", "plugins:\n  recording.s4: {}\n", {}, /recording\.s4.*recording\.s3/],
  ["a value of the wrong kind", "plugins: { recording.s3: { config: { parallel: many } } }\n", {}, /parallel/],
  ["an unknown database driver", "database: { driver: oracle }\n", {}, /database\.driver "oracle" is unknown; use one of sqlite/],
  ["a cluster name with a space", "cluster_name: my cluster\n", {}, /cluster_name/],
  [
    "a variable that is no number",
    "",
    { MEZITE_PLUGINS_RECORDING_S3_PARALLEL: "nine" },
    /MEZITE_PLUGINS_RECORDING_S3_PARALLEL is "nine"; write a number/,
  ],
  [
    "a duration that is none, with file and line",
    "plugins:\n  recording.s3:\n    config: { part_timeout: 5 parsecs }\n",
    {},
    /mezite\.yaml:3: plugins\.recording\.s3\.config\.part_timeout is "5 parsecs", which is not a duration; write it like 90s/,
  ],
  [
    "an address that is none, with file and line",
    "auth:\n  listen_addr: here\n",
    {},
    /mezite\.yaml:2: address "here" is not valid/,
  ],
  ["a variable whose address is none", "", { MEZITE_AUTH_LISTEN_ADDR: "here" }, /^MEZITE_AUTH_LISTEN_ADDR: address "here"/],
  [
    "a variable with another word than those of a list",
    "",
    { MEZITE_LOG_LEVEL: "loud" },
    /^MEZITE_LOG_LEVEL: log\.level is "loud"/,
  ],
  [
    "a variable with a duration that is none",
    "",
    { MEZITE_PLUGINS_RECORDING_S3_PART_TIMEOUT: "0s" },
    /^MEZITE_PLUGINS_RECORDING_S3_PART_TIMEOUT: .*part_timeout is "0s", which is not a duration/,
  ],
  [
    "a secret of a variable that is not set",
    "plugins: { recording.s3: { config: { secret_key: env:NOPE } } }\n",
    {},
    /variable NOPE is not set/,
  ],
];

for (const [name, text, env, message] of REFUSED) {
  test(`refuses ${name}`, async (t) => {
    const file = fileOf(t, text === "" ? "cluster_name: a\n" : text);
    await assert.rejects(
      loadConfig(file, MANIFESTS, env),
      (error) => error instanceof MezError && error.kind === "usage" && message.test(error.message),
    );
  });
}

for (const [path, value, message] of [
  [["auth", "addresses"], ["auth.example.com:99999"], /^--flag: address "auth\.example\.com:99999" is not valid/],
  [["node", "name"], 7, /^--flag: node\.name has to be text/],
] as const) {
  test(`names the flag that ${path.join(".")} came from`, async (t) => {
    await assert.rejects(
      loadConfig(fileOf(t, "cluster_name: a\n"), MANIFESTS, {}, [{ path, value, flag: "--flag" }]),
      (error) => error instanceof MezError && error.kind === "usage" && message.test(error.message),
    );
  });
}

test("refuses a file that is named and does not exist", async () => {
  await assert.rejects(
    loadConfig("/nonexistent/mezite.yaml", MANIFESTS, {}),
    (error) => error instanceof MezError && /no such file or directory/.test(error.message),
  );
});

test("refuses a secret file that others can read", async (t) => {
  const { chmodSync } = await import("node:fs");
  const secret = fileOf(t, "x\n", "key");
  chmodSync(secret, 0o644);
  const file = fileOf(t, `plugins: { recording.s3: { config: { secret_key: "file:${secret}" } } }\n`);
  await assert.rejects(
    loadConfig(file, MANIFESTS, {}),
    (error) => error instanceof MezError && /can be read by others/.test(error.message),
  );
});

test("refuses a secret file without a secret", async (t) => {
  const secret = fileOf(t, "\nx\n", "key");
  const file = fileOf(t, `plugins: { recording.s3: { config: { secret_key: "file:${secret}" } } }\n`);
  await assert.rejects(
    loadConfig(file, MANIFESTS, {}),
    (error) => error instanceof MezError && /secret_key: the first line of .* is empty/.test(error.message),
  );
});
