import assert from "node:assert/strict";
import { PassThrough } from "node:stream";
import { test } from "node:test";
import { exampleProgram, runExample } from "../../test/fixtures/example-program.js";
import { command } from "../plugin/commands.js";
import type { RpcConnection } from "../plugin/rpc.js";
import type { Program } from "./program.js";

for (const args of [["--help"], ["-h"], ["help"], ["--insecure", "--help"]]) {
  test(`shows every command and loads none: ${args.join(" ")}`, async () => {
    const program = exampleProgram();
    const { code, stdout, stderr } = await runExample(program, args);
    assert.deepEqual([code, stderr, program.loads], [0, "", []]);
    for (const word of ["users", "locks", "ssh", "completion", "--auth-server", "MEZITE_AUTH_TOKEN"])
      assert.match(stdout, new RegExp(word));
    assert.doesNotMatch(stdout, /__complete|\u001b/);
  });
}

for (const line of [
  "help users create",
  "users create --help",
  "users create -h",
  "--help users create",
  "users -h create",
  "users create alice --roles=a -h",
]) {
  test(`explains a command: ${line}`, async () => {
    const program = exampleProgram();
    const { code, stdout } = await runExample(program, line.split(" "));
    assert.deepEqual([code, program.loads, program.calls], [0, ["users"], []]);
    assert.match(stdout, /USAGE mezctl users create \[OPTIONS\] <USERNAME>/);
    assert.match(stdout, /EXAMPLES\n\n {2}mezctl users create alice --roles=developer,viewer\n/);
    assert.match(stdout, /--password-stdin/);
  });
}

test("sets names flush left and descriptions in one column", async () => {
  const { stdout } = await runExample(exampleProgram(), ["users", "create", "--help"]);
  const [, options = ""] = /OPTIONS\n\n([\s\S]*?)\n\n/.exec(stdout) ?? [];
  const lines = options.split("\n");
  assert.ok(lines.length > 4);
  assert.equal(new Set(lines.map((line) => /^ {2}-.*? {4,}(?=\S)/.exec(line)?.[0].length)).size, 1, options);
});

test("tells what a command does before how it does it", async () => {
  const explained = command({ name: "explained", summary: "Do it", description: "How it is done.", async run() {} });
  const program = exampleProgram();
  const { stdout } = await runExample({ ...program, commands: [{ ...explained, load: async () => ({ mezctl: [explained] }) }] }, [
    "explained",
    "--help",
  ]);
  assert.match(stdout, /^Do it \(mezctl explained\)\n\nHow it is done\.\n\nUSAGE /);
});

test("shows that a remote command may follow", async () => {
  const { stdout } = await runExample(exampleProgram(), ["ssh", "--help"]);
  assert.match(stdout, /USAGE mezctl ssh \[OPTIONS\] <DESTINATION> \[COMMAND\.\.\.\]\n/);
});

for (const args of [[], ["users"]]) {
  test(`prints help on standard error when no command is given: ${args.join(" ")}`, async () => {
    const { code, stdout, stderr } = await runExample(exampleProgram(), args);
    assert.deepEqual([code, stdout], [2, ""]);
    assert.match(stderr, /USAGE mezctl/);
  });
}

for (const [line, message] of [
  ["user", /^mezctl: unknown command "mezctl user"; did you mean users\?\nmezctl: hint: "mezctl --help" lists the commands\n$/],
  ["users creat", /unknown command "mezctl users creat"; did you mean create\?/],
  ["constructor", /unknown command "mezctl constructor"\n/],
  ["__proto__", /unknown command "mezctl __proto__"\n/],
  ["help nothing", /unknown command "mezctl nothing"/],
] as const) {
  test(`refuses an unknown command: ${line}`, async () => {
    const { code, stderr } = await runExample(exampleProgram(), line.split(" "));
    assert.equal(code, 2);
    assert.match(stderr, message);
  });
}

test("shows the version", async () => {
  assert.equal((await runExample(exampleProgram(), ["--version"])).stdout, "mezctl 1.2.3\n");
  assert.equal((await runExample(exampleProgram(), ["version"])).stdout, "mezctl 1.2.3\n");
  assert.deepEqual(JSON.parse((await runExample(exampleProgram(), ["version", "--format=json"])).stdout), {
    binary: "mezctl",
    version: "1.2.3",
  });
});

test("returns the exit code of a remote command", async () => {
  assert.equal((await runExample(exampleProgram(), ["ssh", "node1", "exit", "42"])).code, 42);
});

test("says an error in one line without control characters and without its detail", async () => {
  const { code, stderr } = await runExample(exampleProgram(), ["fail", "denied"]);
  assert.deepEqual([code, stderr], [4, "mezctl: node \\x1b[31mweb-01 is not; allowed\n"]);
});

test("counts an error of the operating system as the environment's", async () => {
  assert.deepEqual(await runExample(exampleProgram(), ["fail", "file"]), {
    code: 9,
    stdout: "",
    stderr: "mezctl: ENOENT: no such file\n",
  });
});

test("shows the stack of an unexpected error only when asked", async () => {
  const plain = await runExample(exampleProgram(), ["fail", "bug"]);
  assert.deepEqual(
    [plain.code, plain.stderr],
    [1, "mezctl: unexpected error: cannot read what is not there\nmezctl: hint: MEZITE_DEBUG=1 shows where it happened\n"],
  );
  const debug = await runExample(exampleProgram(), ["fail", "bug"], { env: { MEZITE_DEBUG: "1" } });
  assert.match(debug.stderr, /TypeError: cannot read[\s\S]*\n {4}at /);
});

for (const [how, signals, code] of [
  ["wait", ["SIGINT"], 130],
  ["wait", ["SIGTERM"], 143],
  ["stubborn", ["SIGINT", "SIGINT"], 130],
] as const) {
  test(`stops a command that would ${how} on ${signals.join(" and ")}`, async () => {
    assert.deepEqual(await runExample(exampleProgram(), ["fail", how], { signals }), { code, stdout: "", stderr: "" });
  });
}

test("opens one connection for all calls of a command and closes it, also after a failure", async () => {
  let opened = 0;
  let closed = 0;
  const connection: RpcConnection = {
    client: () => ({}) as never,
    serverFingerprint: async () => Buffer.alloc(32),
    serverAuthority: () => null,
    close: () => void closed++,
  };
  const call = command({
    name: "call",
    summary: "Call twice, then fail",
    async run({ rpc }) {
      await rpc({});
      await rpc({});
      throw new Error("after the calls");
    },
  });
  const program: Program = {
    ...exampleProgram(),
    commands: [{ name: "call", summary: "", load: async () => ({ mezctl: [call] }) }],
    connect: async () => {
      opened++;
      return connection;
    },
  };
  assert.equal((await runExample(program, ["call"])).code, 1);
  assert.deepEqual([opened, closed], [1, 1]);
});

test("lets a command begin before what goes on beside it has ended, and waits for that before closing", async () => {
  const order: string[] = [];
  const beside = Promise.withResolvers<void>();
  const call = command({
    name: "call",
    summary: "Call once",
    async run({ rpc }) {
      await rpc({});
      order.push("called");
      setImmediate(() => {
        order.push("learned");
        beside.resolve();
      });
    },
  });
  const program: Program = {
    ...exampleProgram(),
    commands: [{ name: "call", summary: "", load: async () => ({ mezctl: [call] }) }],
    connect: async () => ({
      client: () => ({}) as never,
      serverFingerprint: async () => Buffer.alloc(32),
      serverAuthority: () => null,
      close: () => void order.push("closed"),
      meanwhile: beside.promise,
    }),
  };
  assert.equal((await runExample(program, ["call"])).code, 0);
  assert.deepEqual(order, ["called", "learned", "closed"]);
});

test("refuses two commands of one name", async () => {
  const program = exampleProgram();
  const { code, stderr } = await runExample({ ...program, commands: [...program.commands, program.commands[0]!] }, ["--help"]);
  assert.equal(code, 1);
  assert.match(stderr, /command "mezctl users" is defined twice/);
});

test("refuses a flag that a command shares with the program", async () => {
  const clash = command({
    name: "clash",
    summary: "",
    flags: { format: { type: "string", description: "Mine" } },
    async run() {},
  });
  const program: Program = {
    ...exampleProgram(),
    commands: [{ name: "clash", summary: "", load: async () => ({ mezctl: [clash] }) }],
  };
  assert.match((await runExample(program, ["clash"])).stderr, /flag --format is defined twice/);
});

test("ends without a word when the reader of standard output goes away", async () => {
  const { runProgram } = await import("./program.js");
  const stdout = new PassThrough();
  stdout._write = (_chunk, _encoding, done) => done(Object.assign(new Error("write EPIPE"), { code: "EPIPE", syscall: "write" }));
  const stderr = new PassThrough();
  const code = await runProgram(exampleProgram(), {
    args: ["users", "ls"],
    env: {},
    stdin: new PassThrough(),
    stdout,
    stderr,
    homeDirectory: "/",
    now: () => new Date(0),
    onStop: () => () => {},
  });
  assert.deepEqual([code, stderr.read()], [141, null]);
});
