import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { after, before, describe, test } from "node:test";
import { parseArgs } from "node:util";
import { eventually } from "../fixtures/eventually.js";
import { databaseSection, SecondAuthServer } from "../fixtures/second-auth-server.js";
import { SshSession } from "../fixtures/ssh-session.js";
import { RunningPostgresql } from "../peers/postgresql.js";
import { type Part, TwoReleases } from "./two-releases.js";

const USAGE = `usage: npm run test:upgrade -- --from=<folder>

Upgrades clusters from another release to this one, part by part, while people with programs of both work in them.

  --from=folder   a checkout of the release before, built
`;

const from = readFrom(process.argv.slice(2));
if (from === null) {
  process.stderr.write(USAGE);
  process.exitCode = 2;
} else {
  partByPart(from);
  twoAuthServers(from);
}

// --- internal ---

/** @returns `null` for a wrong command line. */
function readFrom(args: readonly string[]): string | null {
  try {
    const { values } = parseArgs({ args: [...args], options: { from: { type: "string" } } });
    const folder = values.from === undefined ? null : resolve(values.from);
    return folder !== null && existsSync(join(folder, "dist", "daemons", "mezd.js")) ? folder : null;
  } catch {
    return null;
  }
}

function partByPart(folder: string): void {
  describe("an upgrade of auth service, proxy and node, one after the other", { timeout: 600_000 }, () => {
    let releases: TwoReleases;
    before(async () => {
      releases = await TwoReleases.start(folder);
    });
    after(() => releases?.cluster.stop());

    test("before it", (t) => releases.everybodyWorks(t));

    for (const part of ["auth", "proxy", "node"] satisfies Part[]) {
      test(`after the ${part} is of this release`, async (t) => {
        const session = part === "auth" ? await SshSession.open(releases.cluster, releases.target) : null;
        await releases.change(part, "this");
        t.diagnostic(releases.parts);
        await session?.works();
        await session?.close();
        await releases.everybodyWorks(t);
      });
    }

    test("a node of the release before joins afterwards, and one of this release came in between", async () => {
      const { cluster } = releases;
      releases.use("before");
      const late = await cluster.startNode("late", ["--labels=env=test"]);
      assert.equal(cluster.ssh([`${cluster.login}@late`, "echo here"]).stdout, "here\n");
      await late.stop();
    });
  });
}

function twoAuthServers(folder: string): void {
  describe("an upgrade of two auth servers that share a database", { timeout: 600_000 }, () => {
    let postgresql: RunningPostgresql;
    let releases: TwoReleases;
    let second: SecondAuthServer;
    let token: string;
    before(async () => {
      postgresql = await RunningPostgresql.start();
      releases = await TwoReleases.start(folder, { database: databaseSection(postgresql.database()) });
      second = await SecondAuthServer.start(releases.cluster);
      releases.cluster.authServers = [...releases.cluster.authServers, `localhost:${second.port}`];
      for (const part of ["proxy", "node"] as const) await releases.change(part, "before");
      const { cluster } = releases;
      token = cluster.mezctlOk(["login", "--user=admin", "--password-stdin"], { input: `${cluster.adminPassword}\n` }).trim();
    });
    after(async () => {
      await releases?.cluster.stop();
      await postgresql?.close();
    });
    /** An administrator who is told of some of them, or of both. */
    const admin = (servers = releases.cluster.authServers) => ({
      env: { MEZITE_AUTH_SERVER: servers.join(","), MEZITE_AUTH_TOKEN: token },
    });

    test("people and sessions go on when the first of them is of this release, and when both are", async () => {
      const { cluster, target } = releases;
      const session = await SshSession.open(cluster, target);
      await second.daemon.stop();
      releases.use("this");
      await second.resume();
      await session.works();
      for (const release of ["before", "this"] as const) {
        releases.use(release);
        // The one that is of the release before answers nobody once the other has changed the tables.
        const told = release === "before" ? [`localhost:${second.port}`] : cluster.authServers;
        await eventually(() => cluster.mezctl(["nodes", "ls"], admin(told)).stdout.includes("online"));
        cluster.mezctlOk(["users", "create", `of-${release}`, "--roles=access"], admin(told));
        assert.equal(cluster.ssh([target, "echo here"]).stdout, "here\n");
      }
      await cluster.server.stop();
      await cluster.startServer();
      await session.works();
      for (const server of cluster.authServers)
        assert.match(cluster.mezctlOk(["users", "ls"], admin([server])), /of-before.*of-this/s);
      assert.match(cluster.mezctlOk(["audit", "verify"], admin()), /Intact: +yes/);
      await session.close();
    });
  });
}
