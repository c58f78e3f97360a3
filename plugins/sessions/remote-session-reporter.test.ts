import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { appendFile, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { isMezError, MezError } from "../../core/errors/error.js";
import type { LiveSession } from "../../core/plugin/live-sessions.js";
import { ProcessLiveSessions } from "../../core/sessions/live-sessions.js";
import { systemClock } from "../../core/time/clock.js";
import { silentLogger } from "../../test/fixtures/silent-logger.js";
import type { StartedSession } from "./api.js";
import type { LiveList, SessionEvent } from "./live-session.js";
import { RemoteSessionReporter, type ReporterOptions } from "./remote-session-reporter.js";

interface Report {
  readonly role: string;
  readonly events: readonly string[];
  readonly live: LiveList | null;
}

function sessionOf(id: string, by?: "proxy" | "node"): StartedSession {
  return {
    ...{ id, kind: "ssh", user: "alice", roles: [], login: "deploy", node: "web-01", clientAddress: "::1" },
    startedAt: new Date(0),
    ...(by === undefined ? {} : { by }),
  };
}

const OUTCOME = { reason: "left", bytesIn: 1, bytesOut: 2 };
const word = ({ sessionId, number, event }: SessionEvent): string => `${sessionId}#${number} ${event.kind}`;

/** A reporter whose reports are kept; `answer` may refuse one or ask for the list. */
async function startReporter(
  t: TestContext,
  answer: (reports: readonly Report[]) => boolean,
  options: Partial<ReporterOptions> = {},
) {
  const reports: Report[] = [];
  let leases = 0;
  const dataDirectory = options.dataDirectory ?? (await newFolder(t));
  const reporter = new RemoteSessionReporter({
    ...{ dataDirectory, processId: "1" },
    roles: ["proxy", "node"],
    async send(role, { events, live }) {
      const report = { role, events: events.map(word), live };
      const wantsLive = answer([...reports, report]);
      reports.push(report);
      return { wantsLive, refused: [] };
    },
    liveSessions: new ProcessLiveSessions(),
    settings: { get: ({ default: value }) => value },
    takeLease: () => {
      leases += 1;
      return {
        return: () => {
          leases -= 1;
        },
      };
    },
    clock: systemClock,
    logger: silentLogger,
    heartbeatMs: 60_000,
    retryMs: 1,
    ...options,
  });
  await reporter.start();
  t.after(() => reporter.dispose());
  return { reporter, reports, leases: () => leases, sent: () => reports.flatMap(({ events }) => events) };
}

async function newFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "mezite-sessions-"));
  t.after(() => rm(folder, { recursive: true }));
  return folder;
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await delay(1);
}

test("tells of each session in order, and of nothing that was not announced", async (t) => {
  const { reporter, sent, leases } = await startReporter(t, () => false);
  reporter.exec("b", { command: "x", channel: 0 });
  reporter.ended("b", OUTCOME);
  reporter.started(sessionOf("a"));
  reporter.started(sessionOf("a"));
  assert.equal(leases(), 1);
  reporter.exec("a", { command: "uptime", channel: 0 });
  reporter.ended("a", OUTCOME);
  reporter.ended("a", OUTCOME);
  await until(() => sent().length >= 3);
  assert.deepEqual(sent(), ["a#1 started", "a#2 exec", "a#3 ended"]);
  await until(() => leases() === 0);
});

test("speaks for the node unless a session says otherwise", async (t) => {
  const { reporter, reports, sent } = await startReporter(t, () => false);
  reporter.started(sessionOf("a"));
  reporter.started(sessionOf("b", "proxy"));
  reporter.ended("b", OUTCOME);
  await until(() => sent().length >= 3);
  assert.deepEqual(reports.flatMap(({ role, events }) => events.map((event) => `${role} ${event}`)).sort(), [
    "node a#1 started",
    "proxy b#1 started",
    "proxy b#2 ended",
  ]);
});

test("sends again what was not taken, without gaps and in order", async (t) => {
  let failures = 0;
  const { reporter, sent } = await startReporter(t, () => {
    if (failures++ < 6) throw new MezError("UNAVAILABLE", "gone");
    return false;
  });
  for (let number = 0; number < 450; number += 1) reporter.started(sessionOf(`s${number}`));
  await until(() => sent().length >= 450);
  assert.deepEqual(
    sent(),
    Array.from({ length: 450 }, (_, number) => `s${number}#1 started`),
  );
});

test("goes on behind reports that the auth service refuses for good", async (t) => {
  let isRefused = false;
  const { reporter, sent } = await startReporter(t, (reports) => {
    isRefused = reports.at(-1)?.events.includes("bad#1 started") ?? false;
    if (isRefused) throw new MezError("ACCESS_DENIED", "not yours");
    return false;
  });
  reporter.started(sessionOf("bad"));
  await until(() => isRefused);
  reporter.started(sessionOf("good"));
  await until(() => sent().includes("good#1 started"));
});

test("begins with the list, which nobody has of a process that has just begun", async (t) => {
  const { reports } = await startReporter(t, () => false, {
    liveSessions: { all: () => [{ id: "old" } as LiveSession], get: () => [] },
  });
  await until(() => reports.some(({ role }) => role === "proxy") && reports.some(({ role }) => role === "node"));
  assert.deepEqual(
    reports.map(({ live }) => [live?.sessions, live?.otherIds]),
    [
      [[], ["old"]],
      [[], ["old"]],
    ],
  );
});

test("sends the list when it is asked for, with what another instance has", async (t) => {
  const other = { id: "old" } as LiveSession;
  const { reporter, reports } = await startReporter(t, (all) => all.filter(({ role }) => role === "node").length === 2, {
    liveSessions: { all: () => [other, { ...other, id: "a" }, other], get: () => [] },
  });
  reporter.started(sessionOf("a"));
  reporter.started(sessionOf("b"));
  reporter.ended("b", OUTCOME);
  const later = () => reports.filter(({ role, live }) => role === "node" && live !== null)[1];
  await until(() => later() !== undefined);
  const list = later()?.live;
  assert.deepEqual([list?.sessions.map(({ id }) => id), list?.otherIds], [["a"], ["old"]]);
});

test("sends the list only with all events before it", async (t) => {
  const { reporter, reports, sent } = await startReporter(t, (all) => all.at(-1)?.events.length === 200);
  for (let number = 0; number < 500; number += 1) {
    reporter.started(sessionOf(`s${number}`));
    reporter.ended(`s${number}`, OUTCOME);
  }
  const withList = () => reports.findIndex(({ live, events }) => live !== null && events.length > 0);
  await until(() => withList() >= 0);
  const before = reports.slice(0, withList() + 1).flatMap(({ events }) => events);
  assert.equal(before.length, 1000);
  assert.equal(sent().length, 1000);
});

for (const [when, isLive, often] of [
  ["while a session is under way", true, { heartbeatMs: 5, idleHeartbeatMs: 60_000 }],
  ["by another measure while none is", false, { heartbeatMs: 60_000, idleHeartbeatMs: 5 }],
] as const)
  test(`shows a sign of life ${when}`, async (t) => {
    const liveSessions = new ProcessLiveSessions();
    if (isLive) liveSessions.add({ id: "a" } as LiveSession);
    const { reports } = await startReporter(t, () => false, { ...often, liveSessions });
    await until(() => reports.filter(({ role }) => role === "node").length > 3);
    assert.ok(reports.every(({ events }) => events.length === 0));
  });

test("what waited when the process was killed is told by the next one, once and in order", async (t) => {
  const dataDirectory = await newFolder(t);
  const queue = join(dataDirectory, "session-queue");
  const away = () => {
    throw new MezError("UNAVAILABLE", "gone");
  };
  const killed = await startReporter(t, away, { dataDirectory, processId: "1" });
  killed.reporter.started(sessionOf("a"));
  await until(() => existsSync(queue) && readdirSync(queue).length === 1);
  killed.reporter.exec("a", { command: "uptime", channel: 0 });
  killed.reporter.ended("a", OUTCOME);
  const kept = join(queue, readdirSync(queue)[0] as string);
  assert.equal(statSync(kept).mode & 0o777, 0o600);
  assert.equal(readFileSync(kept, "utf8").trim().split("\n").length, 3);
  // The last line of a crash may be cut short.
  await appendFile(kept, '{"sessionId":"a","num');

  let taken: readonly SessionEvent[] = [];
  const next = await startReporter(t, () => false, {
    ...{ dataDirectory, processId: "2" },
    send: async (_role, { events }) => {
      taken = [...taken, ...events];
      return { wantsLive: false, refused: [] };
    },
  });
  next.reporter.started(sessionOf("b"));
  await until(() => taken.length >= 4);
  assert.deepEqual(taken.map(word), ["a#1 started", "a#2 exec", "a#3 ended", "b#1 started"]);
  assert.ok(taken.every(({ at }) => at instanceof Date));
  assert.ok(!existsSync(kept), "the file of the killed process is gone");
});

test("another generation in the same process leaves the file alone", async (t) => {
  const dataDirectory = await newFolder(t);
  let isAway = true;
  const answer = (): boolean => {
    if (isAway) throw new MezError("UNAVAILABLE", "gone");
    return false;
  };
  const old = await startReporter(t, answer, { dataDirectory });
  old.reporter.started(sessionOf("a"));
  await until(() => existsSync(join(dataDirectory, "session-queue")));
  const young = await startReporter(t, answer, { dataDirectory });
  isAway = false;
  await until(() => old.sent().length === 1);
  assert.deepEqual([old.sent(), young.sent()], [["a#1 started"], []]);
});

test("does not hold up a stop for an auth service that is away", async (t) => {
  const { reporter, leases } = await startReporter(t, () => {
    throw new MezError("UNAVAILABLE", "gone");
  });
  reporter.started(sessionOf("a"));
  assert.equal(leases(), 1);
  await delay(20);
  await reporter.drain();
  await until(() => leases() === 0);
  reporter.ended("a", OUTCOME);
  assert.equal(leases(), 0);
});

const LIMITED = { settings: { get: <T>() => 1 as T } };

test("a session waits for the word of the auth service, and one that is refused ends", async (t) => {
  const live = new ProcessLiveSessions();
  const ends: string[] = [];
  live.add({ id: "b", end: (reason: string) => void ends.push(reason) } as LiveSession);
  const asked: (readonly string[])[] = [];
  const { reporter } = await startReporter(t, () => false, {
    ...LIMITED,
    liveSessions: live,
    send: async (role, { asking }) => {
      if (role === "node" && asking.length > 0) asked.push([...asking].sort());
      return { wantsLive: false, refused: asking.includes("b") ? [{ id: "b", reason: "one too many" }] : [] };
    },
  });
  reporter.started(sessionOf("a"));
  reporter.started(sessionOf("b"));
  const answers = await Promise.allSettled([reporter.admitted("a"), reporter.admitted("b")]);
  assert.deepEqual(asked, [["a", "b"]]);
  assert.equal(answers[0].status, "fulfilled");
  assert.ok(answers[1].status === "rejected" && isMezError(answers[1].reason, "LIMIT_EXCEEDED"));
  assert.deepEqual(ends, ["one too many"]);
});

test("nobody waits without a limit, nor for an auth service that is away", async (t) => {
  const never: ReporterOptions["send"] = (_role, _report, signal) =>
    new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(new MezError("CANCELLED", "stopped"))));
  const unlimited = await startReporter(t, () => false, { send: never });
  unlimited.reporter.started(sessionOf("a"));
  await unlimited.reporter.admitted("a");
  const away = await startReporter(
    t,
    () => {
      throw new MezError("UNAVAILABLE", "gone");
    },
    LIMITED,
  );
  away.reporter.started(sessionOf("a"));
  await away.reporter.admitted("a");
  away.reporter.started(sessionOf("b"));
  await away.reporter.admitted("b");
});
