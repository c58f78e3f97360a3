import { fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import type { Cluster } from "../../fixtures/cluster.js";
import type { CertificateOrder } from "../certificate-client.js";
import { absolute, type Row, withUnit } from "../figure.js";
import { loginSessionOf } from "../login-session.js";
import { median } from "../statistics.js";
import { measureCertificateRates } from "../user-certificate.js";

const IN_FLIGHT = 16;
const CALLS_PER_ROUND = 3000;

/** SSH user certificates for keys that were not seen before. */
export const certificates: Row = {
  name: "certificates",
  summary: "user certificates per second, in process and over gRPC, beside ssh-keygen -s",
  async measure(bed, { rounds }) {
    const { userCertificates, sshKeygen } = await measureCertificateRates(rounds);
    const overGrpc = await rateOverGrpc(await bed.cluster(), rounds);
    const peer = withUnit(sshKeygen, "/s");
    return [
      absolute("user certificates in process", userCertificates, "/s", 5000, "at least", peer),
      absolute(`user certificates over gRPC, ${IN_FLIGHT} in flight`, overGrpc, "/s", 1500, "at least", peer),
    ];
  },
};

// --- internal ---

async function rateOverGrpc(cluster: Cluster, rounds: number): Promise<number> {
  const order: CertificateOrder = { ...loginSessionOf(cluster, cluster.home), inFlight: IN_FLIGHT, kind: "ssh" };
  const client = fork(fileURLToPath(new URL("../certificate-client.js", import.meta.url)), [], {
    env: { ...process.env, CERTIFICATE_BENCH: JSON.stringify(order) },
  });
  try {
    const rates: number[] = [];
    for (let round = 0; round <= rounds; round += 1) {
      client.send(round === 0 ? CALLS_PER_ROUND / 3 : CALLS_PER_ROUND);
      const [rate] = (await Promise.race([
        once(client, "message"),
        once(client, "exit").then(() => {
          throw new Error("the client of the certificates row failed");
        }),
      ])) as [number];
      if (round > 0) rates.push(rate); // the first warms up
    }
    return median(rates);
  } finally {
    client.disconnect();
  }
}
