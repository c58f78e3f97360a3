import { generateKeyPairSync } from "node:crypto";
import { messageOf } from "../../../core/errors/error.js";
import { publicKeyOf } from "../../../core/ssh/public-key.js";
import { AuthenticationServiceService } from "../../../proto/gen/mezite/authentication/v1/authentication.js";
import { runProgram } from "../client-process.js";
import { absolute, type Figure, noted } from "../figure.js";
import { connectWith, type LoginSession, loginSessionOf } from "../login-session.js";
import { percentile, timed } from "../statistics.js";
import { RunningClient } from "./running-client.js";
import type { ScaleBed } from "./scale-bed.js";
import { yieldToOthers } from "./yielding.js";

const EVENTS_PER_SECOND = 2_000;
const GOAL_MS = 100;
const NODE = "witness";
const REST_ROUNDS = 20;

/**
 * Agents that report events at a steady rate, while people log in; a login that fails has taken for ever.
 *
 * What in life is on thousands of other machines, the agents, runs at the lowest priority here: it still has to keep its rate, and
 * keeps the servers from nothing. The sessions go to a real node, which reports its own. Everything that people do is done in turns,
 * one after the other, so that their clients, which are on other machines as well, do not wait for each other.
 */
export async function measureAuditLoad(bed: ScaleBed, seconds: number): Promise<readonly Figure[]> {
  const { fleets, cluster } = bed;
  const node = await cluster.startNode(NODE, ["--labels=env=test"]);
  const session = loginSessionOf(cluster, cluster.home);
  const connection = connectWith(session);
  try {
    const people = await peopleOf(bed, session, connection);
    await inTurns(people, (round) => round < WARM_UP_ROUNDS);
    const atRest = await inTurns(people, (round) => round < REST_ROUNDS);
    for (const { child } of fleets) if (child.pid !== undefined) yieldToOthers(child.pid);
    const share = EVENTS_PER_SECOND / fleets.length;
    const before = bed.cpuSeconds.auth;
    const until = Date.now() + seconds * 1000;
    const [reports, meanwhile] = await Promise.all([
      Promise.all(fleets.map((fleet) => fleet.ask({ ask: "report", eventsPerSecond: share, seconds }))),
      inTurns(people, () => Date.now() < until),
    ]);
    const busy = (bed.cpuSeconds.auth - before) / seconds;
    const sum = (key: "events" | "waiting" | "again"): number => reports.reduce((total, report) => total + report[key], 0);
    const took = Math.max(...reports.map((report) => report.seconds));
    return [
      absolute(
        "audit events stored, of agents at the lowest priority",
        sum("events") / took,
        "/s",
        EVENTS_PER_SECOND * 0.99,
        "at least",
      ),
      absolute("events that agents could not tell in time", sum("waiting"), "count", 0, "at most"),
      noted("reports that were made again", sum("again"), "count"),
      ...Object.keys(people).flatMap((what) => [
        absolute(`meanwhile ${what}, p99`, percentile(meanwhile[what] ?? [], 0.99), "ms", GOAL_MS, "at most"),
        noted(`meanwhile ${what}, p50`, percentile(meanwhile[what] ?? [], 0.5), "ms"),
        noted(`at rest ${what}, p50`, percentile(atRest[what] ?? [], 0.5), "ms"),
      ]),
      noted("of a processor the auth service takes meanwhile", busy, "ratio"),
    ];
  } finally {
    connection.close();
    await node.stop();
  }
}

// --- internal ---

const WARM_UP_ROUNDS = 20;

/** What people do, by what the table calls it. */
type People = Readonly<Record<string, () => Promise<unknown>>>;

async function peopleOf(
  { cluster }: ScaleBed,
  session: LoginSession,
  connection: ReturnType<typeof connectWith>,
): Promise<People> {
  const client = connection.client(AuthenticationServiceService);
  const running = await RunningClient.of(cluster, NODE);
  return {
    "a person's certificate": () =>
      client.issueUserCerts({
        sshPublicKey: publicKeyOf(generateKeyPairSync("ed25519").publicKey).blob,
        ...{ x509PublicKey: Buffer.alloc(0), ttlSeconds: 0, answers: [] },
      }),
    "a login with a password, from its TCP connection on": () => logIn(session, cluster.adminPassword),
    "a session of a client that runs already, from its TCP connection to its end": () => running.session(),
    "a whole run of OpenSSH's ssh with true, its helper too": () =>
      runProgram("ssh", [...cluster.sshFlags(), `${cluster.login}@${NODE}`, "true"], { env: cluster.environment() }),
  };
}

async function logIn(session: LoginSession, password: string): Promise<void> {
  const connection = connectWith({ ...session, token: "" });
  try {
    await connection.client(AuthenticationServiceService).authenticateLocal({
      ...{ userName: "admin", password, newPassword: "", ttlSeconds: 0, answers: [], connector: "" },
    });
  } finally {
    connection.close();
  }
}

/** Milliseconds of each, for as many rounds as are to be done. */
async function inTurns(people: People, goesOn: (round: number) => boolean): Promise<Readonly<Record<string, readonly number[]>>> {
  const times: Record<string, number[]> = {};
  for (let round = 0; goesOn(round); round += 1)
    for (const [what, work] of Object.entries(people)) {
      times[what] ??= [];
      times[what].push(await timed(work).catch((error: unknown) => failed(what, error)));
    }
  return times;
}

/** What failed has taken for ever. */
function failed(what: string, error: unknown): number {
  process.stderr.write(`${what} failed: ${messageOf(error)}\n`);
  return Number.POSITIVE_INFINITY;
}
