import { generateKeyPairSync } from "node:crypto";
import { performance } from "node:perf_hooks";
import type { RpcClient } from "../../core/plugin/rpc.js";
import { AuthLink } from "../../daemons/identity/auth-link.js";
import { CertificateFolder } from "../../daemons/identity/certificate-folder.js";
import { WorkloadIssuanceServiceService } from "../../proto/gen/mezite/workload_identities/v1/workload_identities.js";

/** What the svids row tells this process, as JSON in `SVID_BENCH`. */
export interface SvidOrders {
  readonly authServer: string;
  /** With the certificates of an agent identity. */
  readonly folder: string;
  readonly entry: string;
  readonly inFlight: number;
  /** SVIDs that one call asks for. */
  readonly batch: number;
}

const PROCESS = { pid: 4711, uid: 1000, gids: [1000], path: "/usr/bin/payments", sha256: "" };

/*
 * An identity daemon in a process of its own, as far as ordering goes: for each message with a number it orders that many
 * X.509-SVIDs for the same number of keys and answers with the rate per second.
 */
if (process.send !== undefined) {
  const order = JSON.parse(process.env["SVID_BENCH"] ?? "{}") as SvidOrders;
  const set = await new CertificateFolder({ path: order.folder, groupId: null }).load();
  if (set === null) throw new Error(`no certificates in ${order.folder}`);
  const connection = new AuthLink([order.authServer]).connection(set);
  const client = connection.client(WorkloadIssuanceServiceService);
  process.on("message", async (count: number) => {
    const keys = Array.from({ length: count }, () =>
      generateKeyPairSync("ec", { namedCurve: "P-256" }).publicKey.export({ format: "der", type: "spki" }),
    );
    const revision = await revisionOf(client, order.entry);
    const start = performance.now();
    await Promise.all(
      Array.from({ length: order.inFlight }, async () => {
        for (let batch = keys.splice(0, order.batch); batch.length > 0; batch = keys.splice(0, order.batch)) {
          const orders = batch.map((publicKey) => ({ entry: order.entry, revision, publicKey, process: PROCESS }));
          const { results } = await client.issueX509Svids({ orders });
          if (!results.every(({ result }) => result?.$case === "svid")) throw new Error("an SVID was refused");
        }
      }),
    );
    process.send?.((count * 1000) / (performance.now() - start));
  });
  process.on("disconnect", () => connection.close());
}

// --- internal ---

async function revisionOf(client: RpcClient<typeof WorkloadIssuanceServiceService>, name: string): Promise<string> {
  const stop = new AbortController();
  for await (const { message } of client.watchWorkloads({}, { signal: stop.signal })) {
    const entry = message?.$case === "snapshot" ? message.snapshot.entries.find((each) => each.name === name) : undefined;
    if (entry === undefined) continue;
    stop.abort();
    return entry.revision;
  }
  throw new Error(`no workload identity ${name}`);
}
