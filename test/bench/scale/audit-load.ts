import { generateKeyPairSync } from "node:crypto";
import { publicKeyOf } from "../../../core/ssh/public-key.js";
import { AuthenticationServiceService } from "../../../proto/gen/mezite/authentication/v1/authentication.js";
import { absolute, type Figure, noted } from "../figure.js";
import { connectWith, loginSessionOf } from "../login-session.js";
import { percentile, timed } from "../statistics.js";
import { logIn } from "./opening.js";
import type { ScaleBed } from "./scale-bed.js";

const EVENTS_PER_SECOND = 2_000;

/** Agents that report events at a steady rate, while people log in; a login that fails has taken for ever. */
export async function measureAuditLoad(bed: ScaleBed, agents: number, seconds: number): Promise<readonly Figure[]> {
  const { fleets } = bed;
  const connection = connectWith(loginSessionOf(bed.cluster, bed.cluster.home));
  try {
    const client = connection.client(AuthenticationServiceService);
    const certificate = async (): Promise<unknown> => {
      const sshPublicKey = publicKeyOf(generateKeyPairSync("ed25519").publicKey).blob;
      return client.issueUserCerts({ sshPublicKey, x509PublicKey: Buffer.alloc(0), ttlSeconds: 0, answers: [] });
    };
    const until = Date.now() + seconds * 1000;
    const again = async (work: () => Promise<number>): Promise<readonly number[]> => {
      const times: number[] = [];
      while (Date.now() < until) times.push(await work());
      return times;
    };
    const share = EVENTS_PER_SECOND / fleets.length;
    const before = bed.cpuSeconds.auth;
    const [reports, certificates, logins] = await Promise.all([
      Promise.all(fleets.map((fleet) => fleet.ask({ ask: "report", eventsPerSecond: share, seconds }))),
      again(() => timed(certificate)),
      again(() => logIn(bed, Math.floor(Math.random() * agents)).catch(() => Number.POSITIVE_INFINITY)),
    ]);
    const busy = (bed.cpuSeconds.auth - before) / seconds;
    const sum = (key: "events" | "waiting" | "again"): number => reports.reduce((total, report) => total + report[key], 0);
    const took = Math.max(...reports.map((report) => report.seconds));
    return [
      absolute("audit events stored", sum("events") / took, "/s", EVENTS_PER_SECOND * 0.99, "at least"),
      absolute("events that agents could not tell in time", sum("waiting"), "count", 0, "at most"),
      noted("reports that were made again", sum("again"), "count"),
      absolute("a person's certificate meanwhile, p99", percentile(certificates, 0.99), "ms", 100, "at most"),
      absolute("login and true meanwhile, p99", percentile(logins, 0.99), "ms", 100, "at most"),
      noted("the same, p50", percentile(logins, 0.5), "ms"),
      noted("of a processor the auth service takes meanwhile", busy, "ratio"),
    ];
  } finally {
    connection.close();
  }
}
