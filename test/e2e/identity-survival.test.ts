import assert from "node:assert/strict";
import { cpSync, rmSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { Cluster, type Daemon } from "../fixtures/cluster.js";
import { eventually } from "../fixtures/eventually.js";
import { IdentityMachine } from "../fixtures/identity-machine.js";
import { needsPeers } from "../peers/require-peer.js";

const MACHINES = 20;
const KILLS = 12;

interface ShownIdentity {
  readonly name: string;
  readonly status: string;
}

describe("mezd identity survives", needsPeers("ssh"), () => {
  let cluster: Cluster;
  before(async () => {
    cluster = await Cluster.start({ node: "none" });
    IdentityMachine.createRole(cluster);
  });
  after(() => cluster.stop());

  test("kill -9 at any moment of a renewal, without being taken for a copy", async () => {
    const machine = new IdentityMachine(cluster, "killed");
    const started = machine.start(["--renewal-interval=1s"], IdentityMachine.create(cluster, "killed"));
    await started.printed(/"msg":"ready"/);
    await started.stop("SIGKILL");
    const instance = machine.instanceId;
    for (let count = 0; count < KILLS; count += 1) {
      const daemon = machine.start(["--renewal-interval=1s"]);
      // A moment after its start: 1.0 s between renewals, so that every step of one is hit now and then.
      await delay(250 + ((count * 137) % 900));
      assert.equal(daemon.process.exitCode, null, daemon.output);
      await daemon.stop("SIGKILL");
    }
    const last = machine.start(["--renewal-interval=1s"]);
    const before = machine.generation;
    await eventually(() => machine.generation > before + 1);
    assert.equal(await last.stop("SIGTERM"), 0);
    assert.equal(machine.instanceId, instance);
    assert.equal(identities().find(({ name }) => name === "killed")?.status, "active");
  });

  test(`restarts of the auth service, one of them kill -9, with ${MACHINES} identities that renew every 2 s`, async () => {
    const machines = Array.from({ length: MACHINES }, (_, index) => new IdentityMachine(cluster, `busy-${index}`));
    const daemons: Daemon[] = [];
    for (const machine of machines) {
      daemons.push(machine.start(["--renewal-interval=2s"], IdentityMachine.create(cluster, machine.name)));
    }
    await Promise.all(daemons.map((daemon) => daemon.printed(/"msg":"ready"/)));
    for (const signal of ["SIGTERM", "SIGKILL"] as const) {
      await delay(3_000);
      await cluster.server.stop(signal);
      await delay(1_000);
      const generations = machines.map(({ generation }) => generation);
      await cluster.startServer();
      await eventually(() => machines.every(({ generation }, index) => generation > (generations[index] ?? 0) + 1));
    }
    for (const daemon of daemons) assert.equal(daemon.process.exitCode, null, daemon.output);
    const states = identities().filter(({ name }) => name.startsWith("busy-"));
    assert.deepEqual([states.length, states.filter(({ status }) => status !== "active")], [MACHINES, []]);
    assert.equal(cluster.mezctlOk(["audit", "ls", "--type=agent_identity.copied", "--format=json"]).trim(), "[]");
    for (const code of await Promise.all(daemons.map((daemon) => daemon.stop("SIGTERM")))) assert.equal(code, 0);
  });

  test("an auth service that is away until the certificates have expired, and says so", async () => {
    const machine = new IdentityMachine(cluster, "cut-off");
    assert.equal(machine.run(["--cert-ttl=1s", "--one-shot"], IdentityMachine.create(cluster, "cut-off")).code, 0);
    await delay(1_100);
    const { code, stderr } = machine.run(["--renewal-interval=1s"]);
    assert.equal(code, 3);
    assert.match(stderr, /the certificate of identity\/cut-off has expired; bootstrap again with a new token/);
  });

  test("a database that was put back to a backup, and a copy of it is found all the same", async () => {
    const machine = new IdentityMachine(cluster, "restored");
    const daemon = machine.start(["--renewal-interval=1s"], IdentityMachine.create(cluster, "restored"));
    await daemon.printed(/"msg":"ready"/);
    const database = join(cluster.dataDirectory, "mezite.db");
    const backup = join(cluster.folder, "backup.db");
    await cluster.server.stop();
    cpSync(database, backup);
    await cluster.startServer();
    const before = machine.generation;
    await eventually(() => machine.generation > before + 2);
    await cluster.server.stop();
    const thief = new IdentityMachine(cluster, "restored-thief");
    cpSync(machine.destination, thief.destination, { recursive: true, verbatimSymlinks: true });
    cpSync(backup, database);
    for (const name of [`${database}-wal`, `${database}-shm`]) rmSync(name, { force: true });
    await cluster.startServer();
    const restored = machine.generation;
    await eventually(() => machine.generation > restored + 2);
    assert.equal(identities().find(({ name }) => name === "restored")?.status, "active");
    assert.match(cluster.mezctlOk(["audit", "ls", "--type=agent_identity.renewed", "--format=json"]), /generation_in_database/);
    assert.equal(thief.once().code, 4);
    assert.equal(identities().find(({ name }) => name === "restored")?.status, "locked");
    await daemon.stop();
  });

  test("a rotation of the authorities, without a restart", async () => {
    const machine = new IdentityMachine(cluster, "rotated");
    const daemon = machine.start(["--renewal-interval=30m"], IdentityMachine.create(cluster, "rotated"));
    await daemon.printed(/"msg":"ready"/);
    cluster.mezctlOk(["ca", "rotate", "--type=host"]);
    await eventually(() => machine.read("ssh_known_hosts").trim().split("\n").length === 2);
    assert.equal(machine.generation, 1);
    cluster.mezctlOk(["ca", "rotate", "--type=user"]);
    cluster.mezctlOk(["ca", "advance", "--type=user", "--force"]);
    await eventually(() => machine.generation === 2);
    assert.equal(await daemon.stop("SIGTERM"), 0);
    assert.equal(machine.once().code, 0);
  });

  function identities(): readonly ShownIdentity[] {
    return JSON.parse(cluster.mezctlOk(["agent-identities", "ls", "--format=json"])) as ShownIdentity[];
  }
});
