import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { EXIT_CODES } from "../../core/cli/exit-codes.js";
import { Cluster, type Finished } from "../fixtures/cluster.js";
import { needsPeers } from "../peers/require-peer.js";

type Kind = keyof typeof EXIT_CODES;

const LONG = "a".repeat(65_536);
const NO_ID = "00000000-0000-4000-8000-000000000000";

/** Command line, exit code, what the one line on standard error says. */
const REFUSED: readonly (readonly [args: readonly string[], kind: Kind, line: RegExp])[] = [
  [["users", "list", "--nope"], "usage", /unknown flag --nope/],
  [["users", "list", "--format=json", "--format=yaml"], "usage", /flag --format is given twice/],
  [["users", "list", "--format=xml"], "usage", /"xml" is unknown; use one of table, json, yaml/],
  [["users", "create", "x", "--roles"], "usage", /flag --roles needs a value/],
  [["users", "create", "x", "--roles=nosuch"], "not-found", /there is no role "nosuch"/],
  [["users", "create", "../x", "--roles=access"], "usage", /user name "\.\.\/x" is not valid; use/],
  [["users", "create", LONG, "--roles=access"], "usage", /user name "a+" is not valid/],
  [["users", "create", "x\u001b[31m", "--roles=access"], "usage", /is not valid/],
  [["users", "create", "admin", "--roles=access"], "already-exists", /there is a user "admin" already/],
  [["users", "delete", "nosuch"], "not-found", /there is no user "nosuch"/],
  [["users", "delete", "admin"], "conflict", /"admin" is the last user with role admin/],
  [["users", "update", "admin", "--roles=access"], "conflict", /last user with role admin/],
  [["roles", "delete", "admin"], "conflict", /built in and cannot be deleted/],
  [["roles", "delete", "access"], "conflict", /built in and cannot be deleted/],
  [["roles", "delete", "auditor"], "conflict", /built in and cannot be deleted/],
  [["roles", "create", "--from-file=/no/such.yaml"], "usage", /cannot read \/no\/such\.yaml: no such file or directory$/],
  [["tokens", "create", "--roles=node", "--ttl=1x"], "usage", /duration "1x" is not valid; write it like 90s/],
  [["tokens", "create", "--roles=node", "--ttl=25h"], "usage", /25h is too long; use at most 1d/],
  [["tokens", "create", "--roles=root"], "usage", /role "root" cannot join with a token; use one of/],
  [["tokens", "delete", "nosuch"], "not-found", /no active join token with name or id "nosuch"/],
  [["nodes", "update", "web-01", "--labels=bad"], "usage", /label "bad" is not valid; write labels like/],
  [["nodes", "update", "web-01", "--labels=a=b,a=c"], "usage", /label "a" is given twice/],
  [["nodes", "update", "web-01", "--labels=a=\u001b[2J"], "usage", /the value of label "a" is not valid/],
  [["nodes", "rm", "nosuch"], "not-found", /no node named "nosuch"/],
  [["sessions", "terminate", NO_ID], "not-found", /there is no live session/],
  [["recordings", "download", "../../etc/passwd"], "not-found", /there is no recording "\.\.\/\.\.\/etc\/passwd"/],
  [["recordings", "download", NO_ID], "not-found", /there is no recording/],
  [["audit", "ls", "--since=yesterday"], "usage", /time "yesterday" is not valid; write it like 24h/],
  [["ca", "export", "--type=user", "--out=/no/such/file"], "environment", /cannot be written: no such file or directory$/],
  [["plugins", "disable", "roles"], "conflict", /always on/],
  [["--auth-server=localhost:1", "users", "list"], "unavailable", /the auth service at localhost:1: connection refused$/],
  [[`--auth-server=${"a".repeat(60_000)}:1`, "users", "list"], "usage", /address "a{80}" is not valid; write host:port/],
  [["--token=unknown", "users", "list"], "unauthenticated", /unknown or has ended; log in again/],
  [["--token=a\nb", "users", "list"], "unauthenticated", /the session token is malformed/],
  [[`--ca-pin=sha256:${"0".repeat(64)}`, "users", "list"], "denied", /is not the one that is pinned/],
];

/** A role, the exit code is `usage`, and the line names file, line and what would be right. */
const ROLES: readonly (readonly [yaml: string, line: RegExp])[] = [
  ["", /role\.yaml: is empty/],
  ["a: [b\n", /role\.yaml:2: /],
  ["kind: role\nversion: v2\nmetadata: {name: x}\nspec: {}\n", /role\.yaml:2: version is "v2"; it has to be "v1"/],
  [
    "kind: role\nversion: v1\nmetadata: {name: x}\nspec:\n  allow:\n    node_label: {}\n",
    /role\.yaml:6: unknown key "node_label" under spec\.allow; did you mean "node_labels"\?/,
  ],
  [
    "kind: role\nversion: v1\nmetadata: {name: x}\nspec:\n  options: {max_session_ttl: 12 hours}\n",
    /role\.yaml:5: duration "12 hours" is not valid; write it like 90s/,
  ],
  ["kind: role\nversion: v1\nmetadata: {name: x}\nspec:\n  allow: {logins: root}\n", /role\.yaml:5: .*logins has to be a list/],
  [
    'kind: role\nversion: v1\nmetadata: {name: x}\nspec:\n  allow: {logins: ["a\\u001b[31m"]}\n',
    /role\.yaml:5: login "a.*" is not valid; write a name such as/,
  ],
  ["kind: role\nversion: v1\nmetadata: {name: x}\nmetadata: {name: y}\nspec: {}\n", /role\.yaml:4: map keys must be unique/],
];

describe("bad input", () => {
  let cluster: Cluster;
  before(async () => {
    cluster = await Cluster.start();
  });
  after(() => cluster.stop());

  for (const [args, kind, line] of REFUSED) {
    const shown = JSON.stringify(args.map((word) => word.slice(0, 60)).join(" "));
    test(`mezctl ${shown} is ${kind}`, () => refused(cluster.mezctl(args), kind, line));
  }

  for (const [yaml, line] of ROLES) {
    test(`a role file is refused with its line: ${String(line)}`, () => {
      const file = join(cluster.folder, "role.yaml");
      writeFileSync(file, yaml);
      refused(cluster.mezctl(["roles", "create", `--from-file=${file}`]), "usage", line);
    });
  }

  test("a wrong password and an unknown user read the same", () => {
    const [wrong, unknown] = ["admin", "nobody"].map((name) =>
      cluster.mezctl(["login", `--username=${name}`, "--password-stdin"], { input: "wrong\n" }),
    );
    refused(wrong as Finished, "unauthenticated", /^mezctl: invalid credentials$/);
    assert.equal(unknown?.stderr, wrong?.stderr);
  });

  test("an expired certificate is refused at the proxy", needsPeers("ssh"), async () => {
    const file = join(cluster.folder, "short.yaml");
    writeFileSync(
      file,
      JSON.stringify({
        kind: "role",
        version: "v1",
        metadata: { name: "short" },
        spec: {
          options: { max_session_ttl: "2s" },
          allow: { node_labels: { "*": "*" }, logins: [cluster.login] },
        },
      }),
    );
    cluster.mezctlOk(["roles", "create", `--from-file=${file}`]);
    const home = cluster.person("brief", ["--roles=short"]);
    await new Promise((resolve) => setTimeout(resolve, 2_500));
    const { code, stderr } = cluster.ssh([`${cluster.login}@${cluster.nodeName}`, "true"], { home });
    assert.equal(code, 255);
    assert.match(stderr, /Permission denied|expired/);
  });

  test("a certificate of another CA is refused at the proxy", needsPeers("ssh", "ssh-keygen"), () => {
    const [authority, key] = [join(cluster.folder, "other-ca"), join(cluster.folder, "other-key")];
    for (const path of [authority, key]) cluster.run("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", path]);
    cluster.run("ssh-keygen", ["-q", "-s", authority, "-I", "admin", "-n", cluster.login, `${key}.pub`]);
    const { code, stderr } = cluster.run("ssh", [
      ...["-F", "none", "-p", String(cluster.ports.ssh), "-i", key, "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes"],
      ...["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", `${cluster.login}@localhost`, "true"],
    ]);
    assert.equal(code, 255);
    assert.match(stderr, /Permission denied \(publickey\)/);
  });

  test("leaves nothing half done, and the server serving", () => {
    const names = (args: readonly string[]): readonly string[] =>
      (JSON.parse(cluster.mezctlOk([...args, "--format=json"])) as { name: string }[]).map(({ name }) => name);
    assert.deepEqual(names(["users", "list"]), ["admin", "brief"]);
    assert.deepEqual(names(["roles", "ls"]), ["access", "admin", "auditor", "short"]);
    assert.deepEqual(names(["tokens", "list"]), []);
    assert.equal(cluster.mezctl(["audit", "verify"]).code, 0);
    assert.doesNotMatch(cluster.server.output, /unhandled|TypeError|\n\s+at /);
  });
});

/** One line that says what was wrong, at most a hint beside it, no result and no stack. */
function refused({ code, stdout, stderr }: Finished, kind: Kind, line: RegExp): void {
  assert.equal(code, EXIT_CODES[kind], stderr);
  assert.equal(stdout, "");
  const [first = "", hint, ...rest] = stderr.trimEnd().split("\n");
  assert.match(first, line);
  assert.match(hint ?? "mezctl: hint: none", /^mezctl: hint: /);
  assert.deepEqual(rest, []);
}
