import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { performance } from "node:perf_hooks";
import { LockServiceService } from "../../../proto/gen/mezite/locks/v1/locks.js";
import { Cluster } from "../../fixtures/cluster.js";
import type { Route } from "../bench-bed.js";
import { absolute, type Figure, type Row } from "../figure.js";
import { connectWith, loginSessionOf } from "../login-session.js";
import { median, percentile } from "../statistics.js";

const SESSIONS = 50;
const AT_ONCE = 5;
const FULL_ROUNDS = 7;
const PERSON = "locked-out";

/**
 * Locks a person with many live sessions, again and again, and waits for the end of every client. Auth service, proxy and
 * node are three processes, so that each lock travels as it does in a real cluster.
 */
export const locks: Row = {
  name: "locks",
  summary: `the end of ${SESSIONS} live sessions after a lock; 100 locks, 10 with --quick`,
  async measure(_bed, { rounds }) {
    const cluster = await Cluster.start({ node: "apart", proxy: "apart" });
    try {
      return await measureOn(cluster, rounds >= FULL_ROUNDS ? 100 : 10);
    } finally {
      await cluster.stop();
    }
  },
};

// --- internal ---

async function measureOn(cluster: Cluster, lockCount: number): Promise<readonly Figure[]> {
  const home = cluster.person(PERSON, ["--roles=access", `--logins=${cluster.login}`]);
  const env = cluster.environment({ home });
  const route = { config: cluster.sshConfig({ home }), destination: `${cluster.login}@${cluster.nodeName}` };
  const connection = connectWith(loginSessionOf(cluster, cluster.home));
  const client = connection.client(LockServiceService);
  const target = { type: "user", name: PERSON };
  const after: number[] = [];
  const commands: number[] = [];
  try {
    for (let count = lockCount; count > 0; count -= 1) {
      const sessions = await openAll(route, env);
      const ends = sessions.map((session) => endOf(session));
      const asked = performance.now();
      await client.createLock({ target, message: "bench", ttlSeconds: 0 });
      const answered = performance.now();
      commands.push(answered - asked);
      for (const end of ends) after.push(Math.max(0, (await end) - answered));
      await client.deleteLocks({ which: { $case: "target", target } });
    }
  } finally {
    connection.close();
  }
  return [
    absolute(`end of ${SESSIONS} sessions after the answer to a lock, p99`, percentile(after, 0.99), "ms", 1000, "at most"),
    absolute("answer to a lock", median(commands), "ms", 100, "at most"),
  ];
}

async function openAll(route: Route, env: NodeJS.ProcessEnv): Promise<ChildProcess[]> {
  const sessions: ChildProcess[] = [];
  const openSome = async (): Promise<void> => {
    while (sessions.length < SESSIONS) {
      const session = spawn("ssh", ["-F", route.config, "-T", route.destination, "echo begun; cat"], {
        env,
        stdio: ["pipe", "pipe", "ignore"],
      });
      sessions.push(session);
      await Promise.race([once(session.stdout as NonNullable<ChildProcess["stdout"]>, "data"), failureOf(session)]);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, openSome));
  return sessions;
}

async function failureOf(session: ChildProcess): Promise<never> {
  const [code] = await once(session, "exit");
  throw new Error(`a session ended with ${String(code)} before it began`);
}

/** When the client's process was gone, on the clock of `performance.now()`. */
async function endOf(session: ChildProcess): Promise<number> {
  await once(session, "exit");
  return performance.now();
}
