import assert from "node:assert/strict";
import { test } from "node:test";
import { exampleProgram, runExample } from "../../test/fixtures/example-program.js";

const LOCK = {
  user: undefined,
  type: undefined,
  ttl: undefined,
  labels: undefined,
  port: 22,
  agentHostname: undefined,
  verify: false,
};

const understood: readonly [line: string, command: string, input: object][] = [
  ["locks create --user eve --ttl 1h", "locks create", { ...LOCK, user: "eve", ttl: 3600 }],
  ["locks create --user=eve --ttl=1h30m", "locks create", { ...LOCK, user: "eve", ttl: 5400 }],
  ["locks create --user=-dash --type role --port 2222", "locks create", { ...LOCK, user: "-dash", type: "role", port: 2222 }],
  ["locks create --labels env=prod,url=a=b", "locks create", { ...LOCK, labels: { env: "prod", url: "a=b" } }],
  ["locks create --agent-hostname=a --agent-hostname b", "locks create", { ...LOCK, agentHostname: ["a", "b"] }],
  ["locks create --verify", "locks create", { ...LOCK, verify: true }],
  ["locks create --verify=false", "locks create", LOCK],
  ["locks create --no-verify", "locks create", LOCK],
  ["users delete alice", "users delete", { username: "alice" }],
  ["users delete --username=alice", "users delete", { username: "alice" }],
  ["users rm alice", "users delete", { username: "alice" }],
  ["users delete -- -alice", "users delete", { username: "-alice" }],
  [
    "users create --username alice --roles a,b --password x",
    "users create",
    { username: "alice", roles: ["a", "b"], password: "x" },
  ],
  ["ssh node1", "ssh", { destination: "node1", login: undefined, rest: [] }],
  ["ssh node1 -- ls -h", "ssh", { destination: "node1", login: undefined, rest: ["ls", "-h"] }],
  ["ssh deploy@node1 ls -la --help", "ssh", { destination: "deploy@node1", login: undefined, rest: ["ls", "-la", "--help"] }],
  ["ssh node1 grep -- -x file", "ssh", { destination: "node1", login: undefined, rest: ["grep", "--", "-x", "file"] }],
  ["ssh -l root node1 -- ls", "ssh", { destination: "node1", login: "root", rest: ["ls"] }],
  ["ssh node1 -l root uname", "ssh", { destination: "node1", login: "root", rest: ["uname"] }],
  ["ssh --destination=node1 ls -h", "ssh", { destination: "node1", login: undefined, rest: ["ls", "-h"] }],
  ["ssh -- node1 ls", "ssh", { destination: "node1", login: undefined, rest: ["ls"] }],
];

for (const [line, command, input] of understood) {
  test(`reads: ${line}`, async () => {
    const program = exampleProgram();
    const { code, stderr } = await runExample(program, line.split(" "));
    assert.equal(stderr, "");
    assert.equal(code, 0);
    assert.deepEqual(
      program.calls.map((call) => [call.command, { ...call.input }]),
      [[command, input]],
    );
  });
}

const long = "x".repeat(65_537);
const refused: readonly [args: readonly string[], message: RegExp][] = [
  [["locks", "create", "--user", "eve", "--tttl", "1h"], /^mezctl: unknown flag --tttl; did you mean --ttl\?\n/],
  [["locks", "create", "--constructor"], /unknown flag --constructor\n/],
  [["locks", "create", "--__proto__=x"], /unknown flag --__proto__\n/],
  [["locks", "create", "-u", "eve"], /unknown flag -u\n/],
  [["locks", "create", "-user", "eve"], /unknown flag -u\n/],
  [["locks", "create", "--no-user"], /unknown flag --no-user/],
  [["locks", "create", "--no-verify=true"], /flag --no-verify takes no value/],
  [["locks", "create", "--user"], /flag --user needs a value; write --user=<value>/],
  [["locks", "create", "--user", "--ttl", "1h"], /flag --user needs a value/],
  [["locks", "create", "--user", "--"], /flag --user needs a value/],
  [["locks", "create", "--user="], /--user is empty/],
  [["locks", "create", "--user", "a", "--user=b"], /flag --user is given twice; give it once/],
  [["locks", "create", "--verify", "--no-verify"], /flag --verify is given twice/],
  [["--token", "a", "locks", "create", "--token=b"], /flag --token is given twice/],
  [["--tokn", "a", "locks", "create"], /unknown flag --tokn; did you mean --token\?/],
  [["locks", "--user", "eve", "create"], /unknown flag --user/],
  [["locks", "create", "eve"], /unexpected argument "eve"; create takes no arguments/],
  [["locks", "create", "--", "eve"], /unexpected argument "eve"/],
  [["users", "delete", "a", "b"], /unexpected argument "b"; delete takes one argument/],
  [["users", "delete", "a", "--username=b"], /--username repeats what argument <username> already says/],
  [["users", "delete"], /<username> is missing: name of the user/],
  [["users", "delete", ""], /argument <username> is empty/],
  [["ssh"], /<destination> is missing/],
  [["locks", "create", "--ttl", "1x"], /--ttl: duration "1x" is not valid; write it like 90s/],
  [["locks", "create", "--ttl", "60"], /--ttl: duration "60" is not valid/],
  [["locks", "create", "--ttl", "0s"], /--ttl: duration "0s" is not valid/],
  [["locks", "create", "--ttl=-1h"], /--ttl: duration "-1h" is not valid/],
  [["locks", "create", "--ttl", "2d"], /--ttl: 2d is too long; use at most 1d/],
  [["locks", "create", "--labels", "env"], /--labels: label "env" is not valid; write labels like env=staging,role=web/],
  [["locks", "create", "--labels", "=x"], /label "=x" is not valid/],
  [["locks", "create", "--labels", "a=1,,b=2"], /label "" is not valid/],
  [["locks", "create", "--labels", "a b=1"], /label key "a b" is not valid/],
  [["locks", "create", "--labels", "a=1,a=2"], /label "a" is given twice/],
  [["users", "create", "x", "--roles=a,,b", "--password=p"], /--roles: list "a,,b" has an empty item/],
  [["locks", "create", "--type", "users"], /--type: "users" is unknown; use one of user, role, agent/],
  [["locks", "create", "--port", "22x"], /--port: "22x" is not a whole number/],
  [["locks", "create", "--port", "0"], /--port: 0 is too small; use at least 1/],
  [["locks", "create", "--port", "70000"], /--port: 70000 is too large; use at most 65535/],
  [["locks", "create", "--port", "99999999999999999999"], /is not a whole number/],
  [["locks", "create", "--verify=perhaps"], /--verify: "perhaps" is neither true nor false/],
  [["locks", "create", "--user", "a\0b"], /--user contains a NUL byte/],
  [["locks", "create", "--user", long], /--user is longer than 64 KiB/],
  [["users", "delete", long], /argument <username> is longer than 64 KiB/],
  [["ssh", "node1", "echo", long], /argument <command> is longer than 64 KiB/],
  [["locks", "create", `--${long}`], /unknown flag --x{58}…\n/],
  [["users", "list", "--format", "xml"], /--format: "xml" is unknown; use one of table, json, yaml/],
  [["users", "create", "x", "--password=a", "--password-stdin"], /--password and --password-stdin exclude each other/],
  [["users", "create", "x", "--password-stdin", "--password-stdin"], /flag --password-stdin is given twice/],
];

for (const [args, message] of refused) {
  test(`refuses: ${args.join(" ").replace("\0", "\\0").slice(0, 60)}`, async () => {
    const program = exampleProgram();
    const { code, stdout, stderr } = await runExample(program, args);
    assert.match(stderr, message);
    assert.deepEqual([code, stdout, program.calls], [2, "", []]);
    assert.ok(stderr.split("\n").length <= 3, "one line, and one for the hint");
  });
}

test("takes global flags before and after the command", async () => {
  const program = exampleProgram();
  await runExample(program, ["--insecure", "users", "--auth-server=a:1", "delete", "alice", "--ca-pin", "sha256:00"]);
  const { insecure, authServer, caPin } = program.calls[0]!.globals;
  assert.deepEqual([insecure, authServer, caPin], [true, "a:1", "sha256:00"]);
});

test("fills flags from variables; the command line wins, and an empty variable counts as not set", async () => {
  const program = exampleProgram();
  const env = {
    MEZITE_TTL: "2h",
    MEZITE_PORT: "",
    MEZITE_AGENT_HOSTNAME: "a,b",
    MEZITE_VERIFY: "1",
    MEZITE_USER: "mallory",
    MEZITE_AUTH_TOKEN: "t",
  };
  const { stderr } = await runExample(program, ["locks", "create", "--user=eve"], { env });
  assert.equal(stderr, "");
  assert.deepEqual({ ...program.calls[0]!.input }, { ...LOCK, user: "eve", ttl: 7200, agentHostname: ["a", "b"], verify: true });
  assert.equal(String(program.calls[0]!.globals["token"]), "[secret]");
});

test("fills a flag that other commands have with another meaning from a variable of its command alone", async () => {
  const program = exampleProgram();
  const [args, shared] = [["users", "create", "alice", "--password=secret"], { MEZITE_ROLES: "admin" }];
  await runExample(program, args, { env: shared });
  await runExample(program, args, { env: { ...shared, MEZITE_USERS_CREATE_ROLES: "developer" } });
  assert.deepEqual(
    program.calls.map(({ input }) => (input as { readonly roles?: unknown }).roles),
    [undefined, ["developer"]],
  );
  const { stdout } = await runExample(program, ["users", "create", "--help"]);
  assert.match(stdout, /^Flags without a variable in brackets have MEZITE_USERS_CREATE_<FLAG>\.$/m);
  assert.doesNotMatch(stdout, /MEZITE_ROLES/);
});

test("names the variable that holds a bad value", async () => {
  const { code, stderr } = await runExample(exampleProgram(), ["locks", "create"], { env: { MEZITE_TTL: "soon" } });
  assert.equal(code, 2);
  assert.match(stderr, /^mezctl: MEZITE_TTL: duration "soon" is not valid/);
});

test("never fills a positional from a variable, so that a forgotten one deletes nobody", async () => {
  const program = exampleProgram();
  const { code } = await runExample(program, ["users", "delete"], { env: { MEZITE_USERNAME: "alice" } });
  assert.deepEqual([code, program.calls], [2, []]);
});

test("reads a password from the first line of standard input", async () => {
  const program = exampleProgram();
  await runExample(program, ["users", "create", "alice", "--password-stdin"], {
    stdin: "s3cret \r\nsecond\n",
    env: { MEZITE_PASSWORD: "other" },
  });
  assert.deepEqual({ ...program.calls[0]!.input }, { username: "alice", roles: undefined, password: "s3cret " });
});

for (const [what, stdin, message] of [
  ["nothing", "", /--password-stdin: standard input has no first line/],
  ["an empty line", "\nx\n", /has no first line/],
  ["a NUL byte", "a\0b\n", /contains a NUL byte/],
  ["more than 64 KiB", Buffer.alloc(70_000, "a"), /is longer than 64 KiB/],
] as const) {
  test(`refuses ${what} on standard input as a password`, async () => {
    const program = exampleProgram();
    const { code, stderr } = await runExample(program, ["users", "create", "alice", "--password-stdin"], { stdin });
    assert.deepEqual([code, program.calls], [2, []]);
    assert.match(stderr, message);
  });
}

test("asks for no password where nobody sits at a terminal", async () => {
  const { code, stderr } = await runExample(exampleProgram(), ["users", "create", "alice"]);
  assert.equal(code, 2);
  assert.match(stderr, /nobody sits at a terminal; use --password-stdin/);
});
