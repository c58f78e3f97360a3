import { fork } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Cluster } from "../../fixtures/cluster.js";
import { IdentityMachine } from "../../fixtures/identity-machine.js";
import { absolute, type Row } from "../figure.js";
import { median } from "../statistics.js";
import type { SvidOrders } from "../svid-client.js";

const IDENTITY = "bench";
const ENTRY = "payments";
const SVIDS_PER_ROUND = 4_000;

/** X.509-SVIDs from one auth service, each recorded in the audit log, for keys that were not seen before. */
export const svids: Row = {
  name: "svids",
  summary: "X.509-SVIDs per second over gRPC from one auth service, in batches and one by one",
  async measure(_bed, { rounds }) {
    const cluster = await Cluster.start({ node: "none" });
    try {
      const folder = prepare(cluster);
      const common = { authServer: `localhost:${cluster.ports.auth}`, folder, entry: ENTRY };
      const batched = await rate({ ...common, inFlight: 4, batch: 20 }, rounds);
      const single = await rate({ ...common, inFlight: 16, batch: 1 }, rounds);
      return [
        absolute("X.509-SVIDs over gRPC, 20 in a call", batched, "/s", 1000, "at least"),
        absolute("X.509-SVIDs over gRPC, 1 in a call, 16 in flight", single, "/s", 500, "at least"),
      ];
    } finally {
      await cluster.stop();
    }
  },
};

// --- internal ---

/** @returns The folder with the certificates of an agent identity that may serve the entry. */
function prepare(cluster: Cluster): string {
  IdentityMachine.createRole(cluster);
  const machine = new IdentityMachine(cluster, IDENTITY);
  const { code, stderr } = machine.once(IdentityMachine.create(cluster, IDENTITY));
  if (code !== 0) throw new Error(stderr);
  const file = join(cluster.folder, "workload.yaml");
  const selectors = { agent_identities: IDENTITY, unix: { uid: 1000 } };
  const spec = { spiffe_id: "/ns/{{identity.name}}/payments", selectors, dns_sans: "payments.internal" };
  writeFileSync(file, JSON.stringify({ kind: "workload_identity", version: "v1", metadata: { name: ENTRY }, spec }));
  cluster.mezctlOk(["workload-identities", "create", `--from-file=${file}`]);
  return machine.destination;
}

async function rate(order: SvidOrders, rounds: number): Promise<number> {
  const client = fork(fileURLToPath(new URL("../svid-client.js", import.meta.url)), [], {
    env: { ...process.env, SVID_BENCH: JSON.stringify(order) },
  });
  try {
    const rates: number[] = [];
    for (let round = 0; round <= rounds; round += 1) {
      client.send(round === 0 ? SVIDS_PER_ROUND / 4 : SVIDS_PER_ROUND);
      const [measured] = (await Promise.race([
        once(client, "message"),
        once(client, "exit").then(() => {
          throw new Error("the client of the svids row failed");
        }),
      ])) as [number];
      if (round > 0) rates.push(measured); // the first warms up
    }
    return median(rates);
  } finally {
    client.disconnect();
  }
}
