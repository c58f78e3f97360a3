import assert from "node:assert/strict";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { isMezError } from "../../core/errors/error.js";
import { Secret } from "../../core/plugin/secret.js";
import { AuthLink } from "../../daemons/identity/auth-link.js";
import { generateInstanceKeys } from "../../daemons/identity/instance-keys.js";
import { Cluster } from "../fixtures/cluster.js";
import { eventually } from "../fixtures/eventually.js";
import { tokenIn } from "../fixtures/identity-machine.js";
import { packageFiles, writePackage } from "../fixtures/package.js";
import { databaseSection, SecondAuthServer } from "../fixtures/second-auth-server.js";
import { SshSession } from "../fixtures/ssh-session.js";
import { RunningPostgresql } from "../peers/postgresql.js";
import { needsPeers } from "../peers/require-peer.js";

describe("two auth servers on one database", needsPeers("postgres", "ssh"), () => {
  let database: RunningPostgresql;
  let cluster: Cluster;
  let second: SecondAuthServer;
  let target: string;
  let token: string;
  before(async () => {
    database = await RunningPostgresql.start();
    cluster = await Cluster.start({
      node: "apart",
      proxy: "apart",
      config: { database: databaseSection(database.database()) },
    });
    second = await SecondAuthServer.start(cluster);
    target = `${cluster.login}@${cluster.nodeName}`;
    token = login("admin", cluster.adminPassword);
  });
  after(async () => {
    await second?.daemon.stop();
    await cluster?.stop();
    await database?.close();
  });
  /** The other server, with a login of the first one. */
  const there = () => ({ env: { ...second.env, MEZITE_AUTH_TOKEN: token } });

  function login(user: string, password: string): string {
    return cluster.mezctlOk(["login", `--user=${user}`, "--password-stdin"], { input: `${password}\n` }).trim();
  }

  test("each answers for the other: logins, users, nodes and certificates", async () => {
    cluster.mezctlOk(["users", "create", "bob", "--roles=access", "--password-stdin"], {
      ...there(),
      input: "password of bob 1\n",
    });
    await eventually(() => /bob/.test(cluster.mezctlOk(["users", "ls"])));
    const nodes = await eventually(() => {
      const [here, other] = [cluster.mezctlOk(["nodes", "ls"]), cluster.mezctlOk(["nodes", "ls"], there())];
      return other.includes("online") && [here, other];
    });
    for (const shown of nodes) assert.match(shown, new RegExp(`${cluster.nodeName}.*online`));
    assert.match(cluster.mezctlOk(["audit", "verify"], there()), /Intact: +yes/);
  });

  test("a lock that is made on one ends a session at a proxy that listens to the other", async (t) => {
    const session = await SshSession.open(cluster, target);
    const ended = session.ended().then(() => performance.now());
    const locking = cluster.mezctlMeanwhile(["locks", "create", `--agent=${cluster.nodeName}`, "--message=Leak"], there());
    const locked = locking.then(() => performance.now());
    const lateMs = Math.round((await ended) - (await locked));
    t.diagnostic(`the session had ended ${lateMs} ms after mezctl`);
    assert.equal((await locking).code, 0);
    assert.match(`${session.output}${session.errors}`, /agent web-01 is locked: Leak/);
    cluster.mezctlOk(["locks", "delete", "--target-type=agent", `--target-name=${cluster.nodeName}`]);
    await eventually(() => cluster.ssh([target, "true"]).code === 0);
  });

  test("of 50 who come with one token, half of them to each, one joins", async () => {
    const added = cluster.mezctlOk(["agent-identities", "add", "--name=raced", "--roles=access", "--token-ttl=1h"]);
    const token = new Secret(tokenIn(added));
    const race = Array.from({ length: 50 }, async (_, index) => {
      const link = new AuthLink([`localhost:${index % 2 === 0 ? cluster.ports.auth : second.port}`]);
      try {
        await link.bootstrap(token, generateInstanceKeys(), 600, AbortSignal.timeout(60_000));
        return "joined";
      } catch (error) {
        return isMezError(error) ? error.code : String(error);
      } finally {
        link.close();
      }
    });
    const outcomes = (await Promise.all(race)).sort();
    assert.deepEqual(outcomes, [...Array.from({ length: 49 }, () => "JOIN_REFUSED"), "joined"]);
    for (const options of [{}, there()]) {
      const shown = cluster.mezctlOk(["audit", "ls", "--type=agent_identity.bootstrapped", "--format=json"], options);
      assert.equal((JSON.parse(shown) as unknown[]).length, 1);
    }
  });

  test("a rotation is moved once, and each signs with the keys of the other's step", async () => {
    cluster.mezctlOk(["ca", "rotate", "--type=user"]);
    await eventually(() => /init/.test(cluster.mezctlOk(["ca", "status"], there())));
    const steps = await Promise.all(
      [{}, there()].map((options) => cluster.mezctlMeanwhile(["ca", "rollback", "--type=user"], options)),
    );
    assert.deepEqual(steps.map(({ code }) => code).sort(), [0, 6], steps.map(({ stderr }) => stderr).join());
    cluster.mshOk(["login", "--user=admin", "--password-stdin"], { ...there(), input: `${cluster.adminPassword}\n` });
    assert.equal(cluster.ssh([target, "true"]).code, 0);
  });

  test("a login that ends on one has ended on the other", async () => {
    const env = { MEZITE_AUTH_TOKEN: login("bob", "password of bob 1") };
    const shown = () => cluster.mezctl(["nodes", "ls"], { env: { ...second.env, ...env } });
    assert.equal(shown().code, 0, shown().stderr);
    cluster.mezctlOk(["logout"], { env });
    await eventually(() => shown().code === 3);
  });

  test("what is decided of plugins on one is done by both, and one that cannot says so and does the rest", async () => {
    const here = { env: { MEZITE_AUTH_TOKEN: token } };
    const stateOf = (id: string, options: ReturnType<typeof there> | typeof here = here) =>
      (JSON.parse(cluster.mezctlOk(["plugins", "inspect", id, "--format=json"], options)) as { state: string }).state;
    const both = /done by 2 of 2 auth servers: /;
    assert.match(cluster.mezctl(["plugins", "disable", "devices"], here).stderr, both);
    assert.equal(stateOf("devices", there()), "off");
    const version = (number: string) => packageFiles("quiet", undefined, { version: number });
    writePackage(join(cluster.folder, "quiet"), version("1.0.0"));
    assert.match(cluster.mezctl(["plugins", "add", "path:quiet"], here).stderr, both);
    await second.daemon.stop();
    cluster.mezctlOk(["plugins", "enable", "devices"], here);
    writePackage(join(cluster.folder, "quiet"), version("2.0.0"));
    cluster.mezctlOk(["plugins", "pin", "quiet"], here);
    await second.resume();
    assert.equal(stateOf("devices", there()), "on");
    assert.match(cluster.mezctlOk(["plugins", "inspect", "quiet"], there()), /^Version: +2\.0\.0$/m, "decided while it was down");
    assert.match(cluster.mezctl(["plugins", "rm", "quiet"], here).stderr, both);

    const file = join(cluster.folder, "second.yaml");
    const config = JSON.parse(readFileSync(file, "utf8"));
    mkdirSync(join(cluster.folder, "elsewhere"));
    writeFileSync(file, JSON.stringify({ ...config, plugins_dir: join(cluster.folder, "elsewhere") }));
    const added = cluster.mezctl(["plugins", "add", "path:quiet"], here);
    const warning = new RegExp(`warning: auth server .*:${second.port}\\) cannot do what was decided: .*quiet`);
    assert.equal(added.code, 0, added.stderr);
    assert.match(added.stderr, /done by 1 of 2 auth servers: /);
    for (const { stderr } of [added, cluster.mezctl(["plugins", "ls"], here), cluster.mezctl(["plugins", "ls"], there())])
      assert.match(stderr, warning);
    assert.match(cluster.mezctl(["plugins", "disable", "devices"], here).stderr, warning);
    assert.equal(stateOf("devices", there()), "off");
    assert.match(cluster.mezctl(["plugins", "rm", "quiet"], there()).stderr, both);
    assert.equal(cluster.mezctl(["plugins", "inspect", "quiet"], here).code, 5);
    assert.match(cluster.mezctl(["plugins", "enable", "devices"], there()).stderr, both);
    assert.equal(stateOf("devices"), "on");
  });

  test("when one is killed the other goes on, and its events and duties with it", async () => {
    await second.daemon.stop("SIGKILL");
    cluster.mezctlOk(["users", "delete", "bob"], { env: { MEZITE_AUTH_TOKEN: token } });
    await eventually(() => cluster.server.output.includes("a server of the cluster is gone"));
    await second.resume();
    assert.doesNotMatch(cluster.mezctlOk(["users", "ls"], there()), /bob/);
    await cluster.server.stop("SIGKILL");
    // Where the database was late for five seconds, a server says so and serves nobody for a moment.
    await eventually(() => /admin/.test(cluster.mezctl(["users", "ls"], there()).stdout));
    const session = await SshSession.open(cluster, target);
    await session.close();
    await cluster.startServer();
  });
});
