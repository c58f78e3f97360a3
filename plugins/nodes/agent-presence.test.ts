import assert from "node:assert/strict";
import { test } from "node:test";
import { MezError } from "../../core/errors/error.js";
import { silentLogger } from "../../test/fixtures/silent-logger.js";
import type { AgentLink } from "./agent-link.js";
import { AgentPresence } from "./agent-presence.js";
import type { AgentDuties, AgentFacts } from "./agent-service.js";

const facts: AgentFacts = { labels: { env: "prod" }, hostname: "web-01", os: "linux x64", version: "0.1.0" };

test("registers, sends heartbeats and says goodbye", async () => {
  const link = new FakeLink();
  const presence = new AgentPresence(link, silentLogger, async () => false);
  await presence.start(facts);
  await link.called("heartbeat");
  await presence.leave();
  assert.deepEqual(link.calls, ["register prod", "heartbeat", "deregister"]);
});

test("registers again after a heartbeat that failed", async () => {
  const link = new FakeLink({ heartbeat: [new MezError("UNAVAILABLE", "cannot reach the auth service")] });
  const presence = new AgentPresence(link, silentLogger, async () => false);
  await presence.start(facts);
  await link.called("register prod", 2);
  await presence.leave();
  assert.deepEqual(link.calls.slice(0, 3), ["register prod", "heartbeat", "register prod"]);
});

test("joins again when the cluster does not know it any more", async () => {
  const link = new FakeLink({ register: [new MezError("UNAUTHENTICATED", "this agent was removed from the cluster")] });
  let rejoins = 0;
  const presence = new AgentPresence(link, silentLogger, async () => {
    rejoins += 1;
    return true;
  });
  await presence.start(facts);
  await link.called("register prod", 2);
  await presence.leave();
  assert.equal(rejoins, 1);
});

test("new facts replace the old ones", async () => {
  const link = new FakeLink();
  const presence = new AgentPresence(link, silentLogger, async () => false);
  await presence.start(facts);
  await link.called("register prod");
  await presence.start({ ...facts, labels: { env: "staging" } });
  await link.called("register staging");
  await presence.leave();
});

test("sends a heartbeat at once when there is something new to say", async () => {
  const link = new FakeLink({}, 3_600);
  const presence = new AgentPresence(link, silentLogger, async () => false);
  await presence.start(facts);
  await link.called("register prod");
  presence.hurry();
  await link.called("heartbeat");
  assert.equal(presence.renewalSpreadMs, 70);
  presence.hurry();
  await link.called("heartbeat", 2);
  await presence.leave();
});

test("registers when it has a whole copy to report on", async () => {
  const link = new FakeLink();
  const informed = Promise.withResolvers<void>();
  const presence = new AgentPresence(
    link,
    silentLogger,
    async () => false,
    () => informed.promise,
  );
  await presence.start(facts);
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(link.calls, []);
  informed.resolve();
  await link.called("register prod");
  await presence.leave();
});

test("registers all the same when no copy comes, and leaves without one", async () => {
  const never = new Promise<void>(() => {});
  const [registered, left] = [new FakeLink(), new FakeLink()];
  const presence = new AgentPresence(
    registered,
    silentLogger,
    async () => false,
    () => never,
  );
  await presence.start(facts);
  const short = new AgentPresence(
    left,
    silentLogger,
    async () => false,
    () => never,
  );
  await short.start(facts);
  await short.leave();
  assert.deepEqual(left.calls, ["deregister"]);
  await registered.called("register prod");
  await presence.leave();
});

test("does not wait for its turn when the auth service has fallen silent", async () => {
  const link = new FakeLink({}, 3_600);
  let isCutOff = false;
  const presence = new AgentPresence(
    link,
    silentLogger,
    async () => false,
    async () => {},
    () => isCutOff,
    5,
  );
  await presence.start(facts);
  await link.called("register prod");
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.deepEqual(link.calls, ["register prod"]);
  isCutOff = true;
  await link.called("heartbeat", 2);
  await presence.leave();
});

test("goodbye works while the auth service is out of reach", async () => {
  const down = new MezError("UNAVAILABLE", "cannot reach the auth service");
  const link = new FakeLink({ register: [down, down, down], deregister: [down] });
  const presence = new AgentPresence(link, silentLogger, async () => false);
  await presence.start(facts);
  await link.called("register prod");
  await presence.leave();
});

// --- internal ---

type Method = keyof AgentLink;

/** An auth service that fails as often as it is told to. */
class FakeLink implements AgentLink {
  readonly calls: string[] = [];
  #waiting: (() => void)[] = [];

  constructor(
    private readonly failures: Partial<Record<Method, Error[]>> = {},
    private readonly heartbeatSeconds = 1,
  ) {}

  async register(said: AgentFacts): Promise<AgentDuties> {
    this.#note("register", `register ${said.labels["env"]}`);
    return { heartbeatSeconds: this.heartbeatSeconds, renewalSpreadMs: 70 };
  }

  async heartbeat(): Promise<void> {
    this.#note("heartbeat", "heartbeat");
  }

  async deregister(): Promise<void> {
    this.#note("deregister", "deregister");
  }

  async called(call: string, times = 1): Promise<void> {
    while (this.calls.filter((made) => made === call).length < times)
      await new Promise<void>((resolve) => void this.#waiting.push(resolve));
  }

  #note(method: Method, call: string): void {
    this.calls.push(call);
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resolve of waiting) resolve();
    const failure = this.failures[method]?.shift();
    if (failure !== undefined) throw failure;
  }
}
