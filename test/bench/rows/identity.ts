import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { Cluster } from "../../fixtures/cluster.js";
import { IdentityMachine, tokenIn } from "../../fixtures/identity-machine.js";
import { absolute, type Row } from "../figure.js";
import type { FleetMember, FleetOrder } from "../identity-fleet.js";
import { residentKib } from "../resident-memory.js";

const DAEMONS = 200;
const INTERVAL_SECONDS = 5;
const RUN_MS = 120_000;

/** Machines that renew all the time, while the auth service is restarted, once by `kill -9`. */
export const identity: Row = {
  name: "identity",
  summary: `${DAEMONS} identity daemons that renew every ${INTERVAL_SECONDS} s for two minutes, auth restarted twice`,
  async measure() {
    const cluster = await Cluster.start({ node: "none" });
    try {
      const alone = await aloneMib(cluster);
      const { members, seconds } = await runFleet(cluster);
      const renewals = members.reduce((sum, { generation }) => sum + generation - 1, 0);
      const lost = members.filter(({ failure }) => failure !== null).length;
      const copied = JSON.parse(cluster.mezctlOk(["audit", "ls", "--type=agent_identity.copied", "--format=json"])) as unknown[];
      return [
        absolute(`identities that renewed to the end, of ${DAEMONS}`, 1 - lost / DAEMONS, "ratio", 1, "at least"),
        absolute("false alarms of a copy, for each identity", copied.length / DAEMONS, "ratio", 0, "at most"),
        absolute(`renewals of ${DAEMONS} identities, restarts included`, renewals / seconds, "/s", 15, "at least"),
        absolute("mezd identity, idle", alone, "MiB", 90, "at most"),
      ];
    } finally {
      await cluster.stop();
    }
  },
};

// --- internal ---

async function aloneMib(cluster: Cluster): Promise<number> {
  IdentityMachine.createRole(cluster);
  const daemon = new IdentityMachine(cluster, "alone").start([], IdentityMachine.create(cluster, "alone"));
  await daemon.printed(/"msg":"ready"/);
  await sleep(5_000);
  const kib = residentKib(daemon.process);
  await daemon.stop("SIGTERM");
  return kib / 1024;
}

async function runFleet(cluster: Cluster): Promise<{ readonly members: readonly FleetMember[]; readonly seconds: number }> {
  cluster.mezctlOk(["agent-identities", "add", "--name=fleet", "--roles=ci-deployer"]);
  const tokens: string[] = [];
  while (tokens.length < DAEMONS) {
    const more = Array.from({ length: 8 }, () => cluster.mezctlMeanwhile(["agent-identities", "add-token", "fleet"]));
    tokens.push(...(await Promise.all(more)).map(({ stdout }) => tokenIn(stdout)));
  }
  const order: FleetOrder = {
    authServer: `localhost:${cluster.ports.auth}`,
    tokens: tokens.slice(0, DAEMONS),
    folder: `${cluster.folder}/fleet`,
    intervalSeconds: INTERVAL_SECONDS,
  };
  const fleet = fork(fileURLToPath(new URL("../identity-fleet.js", import.meta.url)), [], {
    // Each daemon syncs its files to the disk; alone it has a pool of threads for itself.
    env: { ...process.env, UV_THREADPOOL_SIZE: "32", IDENTITY_FLEET: JSON.stringify(order) },
  });
  try {
    await answerOf(fleet);
    const began = performance.now();
    for (const signal of ["SIGTERM", "SIGKILL"] as const) {
      await sleep(RUN_MS / 3);
      await cluster.server.stop(signal);
      await cluster.startServer();
    }
    await sleep(RUN_MS / 3);
    const seconds = (performance.now() - began) / 1000;
    fleet.send("stop");
    return { members: (await answerOf(fleet)) as FleetMember[], seconds };
  } finally {
    fleet.kill();
  }
}

async function answerOf(fleet: ChildProcess): Promise<unknown> {
  const gone = once(fleet, "exit").then(() => {
    throw new Error("the fleet of identity daemons failed");
  });
  const [answer] = (await Promise.race([once(fleet, "message"), gone])) as [unknown];
  return answer;
}
