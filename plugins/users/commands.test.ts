import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "node:test";
import type { Program } from "../../core/cli/program.js";
import type { RpcConnection } from "../../core/plugin/rpc.js";
import { type ExampleRun, exampleProgram, runExample } from "../../test/fixtures/example-program.js";
import authentication from "../authentication/commands.js";
import { BUILT_IN_ROLES } from "../roles/built-in-roles.js";
import roles from "../roles/commands.js";
import { toMessage } from "../roles/role-message.js";
import users from "./commands.js";

/** Runs `mezctl` over a server that answers by `answers` and remembers what it was asked. */
async function run(
  words: readonly string[],
  answers: Readonly<Record<string, (request: Readonly<Record<string, unknown>>) => object>> = {},
  stdin = "",
): Promise<ExampleRun & { readonly calls: readonly (readonly [string, unknown])[] }> {
  const calls: [string, unknown][] = [];
  const client = new Proxy(
    {},
    {
      get: (_target, method: string) => {
        if (method === "then") return undefined; // it is no promise
        return async (request: Readonly<Record<string, unknown>>) => {
          calls.push([method, request]);
          return answers[method]?.(request) ?? {};
        };
      },
    },
  );
  const connection = {
    client: () => client,
    close: () => undefined,
    serverFingerprint: async () => Buffer.alloc(32),
    serverAuthority: () => null,
  } as unknown as RpcConnection;
  const commands = [users, roles, authentication].flatMap((defined) => defined.mezctl ?? []);
  const program: Program = {
    ...exampleProgram(),
    commands: commands.map((node) => ({ name: node.name, summary: node.summary, load: async () => ({ mezctl: [node] }) })),
    connect: async () => connection,
  };
  return { ...(await runExample(program, words, { stdin })), calls };
}

test("users create prints the one-time password and sends roles, logins and traits", async () => {
  const { code, stdout, calls } = await run(
    ["users", "create", "alice", "--roles=developer,viewer", "--logins=alice", "--trait=team=core", "--trait=team=ops"],
    { createUser: () => ({ user: { name: "alice" }, oneTimePassword: "abc" }) },
  );
  assert.equal(code, 0);
  assert.match(stdout, /One-time password:\s+abc/);
  assert.deepEqual(calls, [
    [
      "createUser",
      {
        name: "alice",
        roles: ["developer", "viewer"],
        internalTraits: { logins: { values: ["alice"] }, team: { values: ["core", "ops"] } },
        password: "",
        requireChange: false,
      },
    ],
  ]);
});

test("users create takes a password from standard input and prints none", async () => {
  const words = ["users", "create", "--username=alice", "--roles=access", "--password-stdin"];
  const { code, stdout, calls } = await run(words, { createUser: () => ({ oneTimePassword: "" }) }, "correct horse battery\n");
  assert.deepEqual([code, stdout], [0, ""]);
  assert.match(JSON.stringify(calls), /"password":"correct horse battery"/);
});

for (const words of [
  ["users", "create", "alice"],
  ["users", "create", "alice", "--roles=a", "--trait=team"],
  ["users", "create", "alice", "--roles=a", "--require-change"],
  ["users", "update", "alice"],
  ["users", "delete"],
  ["login", "--username=alice"],
  ["roles", "create"],
  ["roles", "create", "--from-file=/does/not/exist"],
]) {
  test(`refuses mezctl ${words.join(" ")} before any call`, async () => {
    const { code, stderr, calls } = await run(words);
    assert.deepEqual([code, calls], [2, []]);
    assert.match(stderr, /^mezctl: /);
  });
}

test("users delete takes the name as an operand and as --username", async () => {
  for (const word of ["alice", "--username=alice"]) {
    const { code, calls } = await run(["users", "delete", word]);
    assert.deepEqual([code, calls], [0, [["deleteUser", { name: "alice" }]]]);
  }
});

test("users list shows logins and traits, as data too", async () => {
  const user = {
    name: "alice",
    roles: ["access"],
    internalTraits: { logins: { values: ["ops"] }, team: { values: ["core"] } },
    externalTraits: {},
    createdAt: new Date(0),
  };
  const { stdout } = await run(["users", "list", "--format=json"], { listUsers: () => ({ users: [user] }) });
  assert.deepEqual(JSON.parse(stdout), [
    {
      name: "alice",
      roles: ["access"],
      logins: ["ops"],
      traits: { logins: ["ops"], team: ["core"] },
      created_at: "1970-01-01T00:00:00.000Z",
    },
  ]);
});

test("login prints the token alone", async () => {
  const { code, stdout, stderr } = await run(
    ["login", "--username=alice", "--password-stdin", "--ttl=24h"],
    {
      authenticateLocal: () => ({
        token: "tok",
        mustChangePassword: false,
        demands: [],
        notice: "shortened from 1d to 1h: max_session_ttl of your roles",
      }),
    },
    "secret",
  );
  assert.deepEqual([code, stdout], [0, "tok\n"]);
  assert.match(stderr, /session shortened from 1d to 1h/);
});

test("login without a terminal says that a one-time password has to be changed, and prints no token", async () => {
  const { code, stdout, stderr } = await run(
    ["login", "--username=alice", "--password-stdin"],
    { authenticateLocal: () => ({ token: "tok", mustChangePassword: true, notice: "", demands: [] }) },
    "secret",
  );
  assert.notEqual(code, 0);
  assert.equal(stdout, "");
  assert.match(stderr, /this is a one-time password; .*--new-password-stdin/);
});

test("roles get prints what roles create reads", async (t) => {
  const folder = await mkdtemp(join(tmpdir(), "mezite-roles-"));
  t.after(() => rm(folder, { recursive: true }));
  const access = BUILT_IN_ROLES[0];
  assert.ok(access);
  const role = { ...toMessage(access), name: "copy" };
  const { stdout } = await run(["roles", "get", "copy"], { getRole: () => role });
  const file = join(folder, "copy.yaml");
  await writeFile(file, stdout);
  for (const [words, stdin] of [
    [["roles", "create", `--from-file=${file}`], ""],
    [["roles", "create", "--from-file=-"], stdout],
  ] as const) {
    const { code, stderr, calls } = await run(words, { putRole: () => ({ created: true }) }, stdin);
    assert.deepEqual([code, stderr, calls], [0, "role copy created\n", [["putRole", { role }]]]);
  }
});
