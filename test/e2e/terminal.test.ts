import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { Cluster } from "../fixtures/cluster.js";

const MEZCTL = fileURLToPath(new URL("../../cli/mezctl.js", import.meta.url));
const PASSWORD = "a password of somebody 1";

/** In order; each with what it prints. The letter of the command reference, run by a shell. */
const LINES: readonly (readonly [line: string, prints: RegExp])[] = [
  ["mezctl users list", /^NAME +ROLES.*\nadmin +access,admin/],
  ["mezctl roles create --from-file=role-developer.yaml", /^$/],
  ["mezctl roles ls", /\ndeveloper +env=staging/],
  ["mezctl roles list", /\ndeveloper /],
  ["mezctl roles get developer", /^kind: role\nversion: v1\nmetadata:\n {2}name: developer\n/],
  ["mezctl roles get developer --format=json", /^\{\n {2}"kind": "role"/],
  ["mezctl users create alice --roles=developer,access", /One-time password: +\S+/],
  ["mezctl users create --username=bob --roles=developer", /One-time password/],
  ["mezctl users delete --username=alice", /^$/],
  ["mezctl users rm bob", /^$/],
  ["mezctl roles delete developer", /^$/],
  ["mezctl tokens create --roles=node --ttl=1h --name=rack-7", /Token: +[0-9a-f]{64}\n/],
  ["mezctl tokens list", /^ID +NAME.*\n[0-9a-f]+ +rack-7 +node/],
  ["mezctl tokens delete rack-7", /^$/],
  ["mezctl nodes ls", /^NAME +KIND +HOSTNAME.*\nweb-01 +agent /],
  ["mezctl nodes ls --format=yaml", /^- name: web-01\n/],
  ["mezctl nodes get web-01", /^Name: +web-01\n/],
  ["mezctl nodes update web-01 --labels env=staging,role=web", /Labels: +env=staging,role=web\n/],
  ["mezctl ca status", /^TYPE +PHASE.*\nhost .*\nspiffe .*\nuser /],
  ["mezctl ca export --type=user", /^ssh-ed25519 AAAA\S+ test user CA\n$/],
  ["mezctl ca export --type=host", /^@cert-authority \* ssh-ed25519 /],
  ["mezctl ca export --type=spiffe", /^-----BEGIN CERTIFICATE-----\n/],
  ["mezctl workload-identities ls", /^NAME +SPIFFE ID /],
  ["mezctl sessions ls", /^ID +USER +LOGIN +NODE +CLIENT +STARTED\n/],
  ["mezctl recordings ls", /^ID +USER /],
  ["mezctl recordings ls --user=admin", /^ID +USER /],
  ["mezctl audit ls", /^TIME +TYPE +USER +RESOURCE +FROM +RESULT\n/],
  ["mezctl audit ls --type=session.start", /session\.start/],
  ["mezctl audit ls --type=access.denied --since=1h", /^TIME /],
  ["mezctl audit ls --user=alice --since=24h", /^TIME /],
  ["mezctl nodes rm web-01", /^$/],
  ["mezctl version", /^mezctl \d+\.\d+\.\d+\n$/],
  ["mezctl __complete users ''", /^create\t.*\nlist\t/m],
];

describe("the command reference, to the letter", () => {
  let cluster: Cluster;
  let env: Record<string, string>;
  before(async () => {
    cluster = await Cluster.start();
    const programs = join(cluster.folder, "bin");
    mkdirSync(programs);
    writeFileSync(join(programs, "mezctl"), `#!/bin/sh\nexec "${process.execPath}" "${MEZCTL}" "$@"\n`, { mode: 0o755 });
    const role = {
      kind: "role",
      version: "v1",
      metadata: { name: "developer" },
      spec: { allow: { node_labels: { env: "staging" }, logins: ["ubuntu"] } },
    };
    writeFileSync(join(cluster.folder, "role-developer.yaml"), JSON.stringify(role));
    cluster.mezctlOk(["users", "create", "root-user", "--roles=admin", "--password-stdin"], { input: `${PASSWORD}\n` });
    env = { PATH: `${programs}:${process.env["PATH"]}` };
  });
  after(() => cluster.stop());

  test("a login's token goes into the environment, and all that follows inherits it", () => {
    const home = join(cluster.folder, "nobody");
    mkdirSync(home);
    const script = [
      "export MEZITE_AUTH_TOKEN=$(mezctl login \\",
      `  --auth-server=localhost:${cluster.ports.auth} \\`,
      "  --username=root-user \\",
      '  --password="$MEZITE_ADMIN_PASSWORD")',
      "mezctl users list",
    ].join("\n");
    const given = { ...env, MEZITE_ADMIN_PASSWORD: PASSWORD };
    const { code, stdout, stderr } = cluster.run("sh", ["-c", script], { home, env: given });
    assert.equal(code, 0, stderr);
    assert.match(stdout, /\nroot-user +admin/);
    assert.match(stderr, /^warning: a password on the command line can be read by others/);
  });

  for (const [line, prints] of LINES) {
    test(line, () => {
      const { code, stdout, stderr } = cluster.run("sh", ["-c", `cd "$FOLDER" && ${line}`], {
        env: { ...env, FOLDER: cluster.folder },
      });
      assert.equal(code, 0, stderr);
      assert.match(stdout, prints);
      assert.doesNotMatch(stdout + stderr, /\u001b/);
    });
  }
});
