import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { isMezError } from "../core/errors/error.js";
import { definePlugin } from "../core/plugin/contract.js";
import type { DescribedArgument, DescribedCommand, Manifest } from "../core/plugin/manifest.js";
import { field, message } from "../core/plugin/message.js";
import { rpcService } from "../core/plugin/rpc-service.js";
import { entryOf, manifestOf } from "../test/fixtures/plugins.js";
import { startTestCluster, type TestCluster } from "../test/kit/test-cluster.js";

const Target = message("Target", { name: field.string(1) });
const Thing = message("Thing", {
  name: field.string(1),
  ttlSeconds: field.integer(2),
  madeAt: field.time(3),
  labels: field.labels(4),
  target: field.message(5, Target),
  hosts: field.strings(6),
  isLoud: field.bool(7),
  password: field.string(8),
});
const ListThings = message("ListThings", {});
const Things = message("Things", { things: field.messages(1, Thing) });
const THINGS = rpcService("acme.things.v1.ThingService", {
  echo: { request: Thing, response: Thing, permission: "thing:use" },
  list: { request: ListThings, response: Things, permission: "thing:use" },
});

const ARGUMENTS: readonly DescribedArgument[] = [
  { name: "name", type: "string", description: "Name\u001b[31m", field: "name", positional: true, required: true },
  { name: "ttl", type: "duration", description: "How long", field: "ttlSeconds" },
  { name: "labels", type: "labels", description: "Labels", field: "labels" },
  { name: "hosts", type: "list", description: "Hosts", field: "hosts" },
  { name: "is-loud", type: "boolean", description: "Loud", field: "isLoud" },
  { name: "password", type: "secret", description: "Password", field: "password" },
];
const COLUMNS = ["name", "ttlSeconds", "madeAt", "labels", "target.name", "hosts", "isLoud", "password"].map((name) => ({
  header: name.toUpperCase(),
  field: name,
}));
const ECHO: DescribedCommand = {
  name: "echo",
  summary: "Say it again",
  rpc: "acme.things.v1.ThingService/Echo",
  arguments: ARGUMENTS,
  output: { columns: COLUMNS },
};
const LIST: DescribedCommand = {
  name: "ls",
  summary: "List things",
  rpc: "acme.things.v1.ThingService/List",
  output: { rows: "things", columns: [{ header: "NAME", field: "name" }] },
};

function manifest(commands: readonly DescribedCommand[]): Manifest {
  return manifestOf("acme-things", {
    runsIn: ["auth"],
    contributes: {
      commands: [{ name: "things", binary: "mezctl", summary: "Things", commands }],
      rpc: ["acme.things.v1.ThingService"],
      permissions: [{ permission: "thing:use", grantedTo: ["session"] }],
    },
  });
}

const plugin = definePlugin({
  register(host) {
    host.rpc(THINGS, () => ({
      echo: async (thing) => ({ ...thing, madeAt: new Date("2026-01-02T03:04:05Z"), target: { name: "web-01" } }),
      list: async () => ({ things: [{ ...Thing.decode(Buffer.alloc(0)), name: "one" }] }),
    }));
  },
});

describe("commands that only the server knows", () => {
  let cluster: TestCluster;
  before(async () => {
    cluster = await startTestCluster({ plugins: [entryOf(manifest([ECHO, LIST]), plugin)] });
  });
  after(() => cluster.stop());

  test("take what is described, and print what comes back", async () => {
    const words = ["things", "echo", "a", "--ttl=1h30m", "--labels=env=prod", "--hosts=x,y", "--is-loud", "--password-stdin"];
    const { code, stdout, stderr } = await cluster.mezctl([...words, "--format=json"], { stdin: "geheim\n" });
    assert.deepEqual([code, stderr], [0, ""]);
    assert.deepEqual(JSON.parse(stdout), {
      ...{ name: "a", ttl_seconds: 5400, made_at: "2026-01-02T03:04:05.000Z", labels: { env: "prod" } },
      ...{ target_name: "web-01", hosts: ["x", "y"], is_loud: true, password: "geheim" },
    });
    assert.equal((await cluster.mezctl(["things", "list"])).stdout, "NAME\none\n");
  });

  for (const [name, args, expected] of [
    ["an unknown flag", ["things", "echo", "a", "--tttl=1h"], /unknown flag --tttl; did you mean --ttl\?/],
    ["a repeated flag", ["things", "echo", "a", "--ttl=1h", "--ttl=2h"], /--ttl is given twice/],
    ["a missing operand", ["things", "echo"], /<name>/],
    ["an unknown command under a known word", ["things", "eco"], /unknown command "mezctl things eco"; did you mean echo\?/],
    ["a word that the server does not know either", ["xyzzy", "ls"], /^mezctl: unknown command "mezctl xyzzy"\n/],
  ] as const) {
    test(`are as strict as others: ${name}`, async () => {
      const { code, stderr } = await cluster.mezctl(args);
      assert.equal(code, 2);
      assert.match(stderr, expected);
    });
  }

  test("show texts of the server without control characters", async () => {
    const { stdout } = await cluster.mezctl(["things", "echo", "--help"]);
    assert.match(stdout, /Name\\x1b\[31m/);
  });

  test("are in the help and in completion once they were described", async () => {
    await cluster.mezctl(["things", "ls"]);
    assert.match((await cluster.mezctl(["--help"])).stdout, /^ +things +Things$/m);
    const completed = async (...words: readonly string[]) => (await cluster.mezctl(["__complete", "--", ...words])).stdout;
    assert.equal(await completed("thi"), "things\tThings\n");
    assert.equal(await completed("things", "e"), "echo\tSay it again\n");
    assert.match(await completed("things", "echo", "--tt"), /^--ttl\tHow long\n/);
    assert.match(await completed("locks", "cr"), /^create\tLock a target/);
  });

  test("say which plugin is not enabled, and on which cluster", async () => {
    await cluster.mezctl(["things", "ls"]);
    await cluster.plugins.disable("acme-things");
    try {
      const { code, stderr } = await cluster.mezctl(["things", "ls"]);
      assert.equal(code, 7);
      assert.match(stderr, /^mezctl: plugin "acme-things" is not enabled on cluster test\n/);
      assert.match(stderr, /^mezctl: hint: "mezctl plugins ls" shows whether it is off there, or is not there at all$/m);
    } finally {
      await cluster.plugins.enable("acme-things");
    }
  });
});

const argument = (change: Partial<DescribedArgument>): DescribedCommand => ({
  ...ECHO,
  arguments: [{ ...(ARGUMENTS[1] as DescribedArgument), ...change }],
});
for (const [why, commands, expected] of [
  ["an unknown method", [{ ...ECHO, rpc: "acme.things.v1.ThingService/Shout" }], /calls acme.things.v1.ThingService\/Shout/],
  ["the service of another plugin", [{ ...ECHO, rpc: "mezite.users.v1.UserService/ListUsers" }], /calls mezite.users/],
  ["a field that the request does not have", [argument({ field: "ttl" })], /fills "ttl", which the request/],
  ["a type that the field cannot hold", [argument({ type: "labels" })], /is a labels, which field "ttlSeconds" cannot hold/],
  ["a flag of mezctl itself", [argument({ name: "token" })], /"token", which mezctl uses itself/],
  ["an operand that is no word", [argument({ positional: true })], /operand "ttl" of type duration/],
  ["a column that is not there", [{ ...LIST, output: { rows: "things", columns: [{ header: "X", field: "x" }] } }], /prints "x"/],
  ["rows that are not there", [{ ...LIST, output: { rows: "items", columns: [{ header: "X", field: "x" }] } }], /prints "items"/],
  ["two commands with one name", [ECHO, ECHO], /is described twice/],
] as const) {
  test(`no server starts with a description of ${why}`, async () => {
    await assert.rejects(
      startTestCluster({ plugins: [entryOf(manifest(commands), plugin)] }),
      (error) => isMezError(error, "PLUGIN_MANIFEST_MISMATCH") && expected.test(error.message),
    );
  });
}
