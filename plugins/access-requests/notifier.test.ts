import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { type TestContext, test } from "node:test";
import { Secret } from "../../core/plugin/secret.js";
import { parseWebhook } from "../../core/plugin/signed-post.js";
import { systemClock } from "../../core/time/clock.js";
import { openTestDatabase } from "../../test/fixtures/database.js";
import { eventually } from "../../test/fixtures/eventually.js";
import { silentLogger } from "../../test/fixtures/silent-logger.js";
import { soleServer } from "../../test/fixtures/sole-server.js";
import type { AccessRequest } from "./access-request.js";
import { CreateAccessRequests } from "./migrations/001-access-requests.js";
import { NOTIFICATION_ENTITIES } from "./notification-repository.js";
import { Notifier } from "./notifier.js";
import { REQUEST_ENTITIES } from "./request-repository.js";

const SECRET = new Secret("a secret of the webhook");
const REQUEST: AccessRequest = {
  ...{
    id: "r1",
    user: "alice",
    roles: ["production"],
    nodes: [],
    reason: "ticket 4711",
    state: "pending",
    createdAt: new Date(0),
  },
  ...{ ttlSeconds: 3600, until: new Date(0), approvalsNeeded: 1, reviews: [], closedBy: "", closeReason: "" },
};

interface Delivery {
  readonly id: string;
  readonly type: string;
  readonly text: string;
}

/** A receiver that checks signatures and answers what it is told to. */
async function bed(t: TestContext, answers: number[]) {
  const taken: Delivery[] = [];
  let attempts = 0;
  const server = createServer((request, response) => {
    let body = "";
    request.on("data", (chunk: Buffer) => {
      body += chunk.toString();
    });
    request.on("end", () => {
      attempts += 1;
      const [, seconds = "", signature] = /^t=(\d+),v1=([0-9a-f]{64})$/.exec(String(request.headers["mezite-signature"])) ?? [];
      assert.equal(signature, createHmac("sha256", SECRET.expose()).update(`${seconds}.${body}`).digest("hex"));
      const status = answers.shift() ?? 204;
      const delivery = JSON.parse(body) as Delivery;
      assert.equal(delivery.id, request.headers["mezite-delivery"]);
      if (status < 300) taken.push(delivery);
      response.writeHead(status, status === 302 ? { location: "/elsewhere" } : {}).end();
    });
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const opened = await openTestDatabase({
    entities: [...REQUEST_ENTITIES, ...NOTIFICATION_ENTITIES],
    migrations: [{ name: "001-access-requests", class: CreateAccessRequests }],
  });
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`;
  const make = (): Notifier =>
    new Notifier({
      duties: soleServer,
      ...{ database: opened.database, clock: systemClock, logger: silentLogger, clusterName: "test", retryMs: 1 },
      target: parseWebhook("webhook", { url, secret: SECRET }),
    });
  t.after(async () => {
    await opened.close();
    server.close();
    server.closeAllConnections();
  });
  return { opened, make, taken, attempts: () => attempts };
}

test("tells each step in order, signed, until the receiver takes it; a redirect is no answer", async (t) => {
  const { opened, make, taken, attempts } = await bed(t, [500, 302, 204]);
  const notifier = make();
  await notifier.start();
  t.after(() => notifier.dispose());
  for (const type of ["access_request.created", "access_request.approved"] as const)
    await opened.database.transaction((tx) => notifier.announce(tx, type, REQUEST, "bob"));
  await eventually(() => taken.length === 2);
  assert.deepEqual(
    taken.map(({ type }) => type),
    ["access_request.created", "access_request.approved"],
  );
  assert.match(taken[0]?.text ?? "", /^alice asks for role production: ticket 4711 \(mezctl access-requests approve r1\)$/);
  assert.equal(taken[1]?.text, "role production for alice: approved by bob");
  assert.equal(attempts(), 4);
  await notifier.dispose();
});

test("words of a requester are no commands of a chat system", async (t) => {
  const { opened, make, taken } = await bed(t, []);
  const notifier = make();
  await notifier.start();
  const request = { ...REQUEST, reason: "<!channel> see <https://evil.example|the ticket>" };
  await opened.database.transaction((tx) => notifier.announce(tx, "access_request.created", request, "alice"));
  await eventually(() => taken.length === 1);
  assert.doesNotMatch(taken[0]?.text ?? "", /[<>]/);
  await notifier.dispose();
});

test("what a crash left behind is told by the next process; what was rolled back never", async (t) => {
  const { opened, make, taken } = await bed(t, []);
  const crashed = make();
  await opened.database.transaction((tx) => crashed.announce(tx, "access_request.created", REQUEST, "alice"));
  await assert.rejects(
    opened.database.transaction(async (tx) => {
      await crashed.announce(tx, "access_request.denied", REQUEST, "bob");
      throw new Error("no");
    }),
  );
  const next = make();
  await next.start();
  await eventually(() => taken.length > 0);
  await next.dispose();
  assert.deepEqual(
    taken.map(({ type }) => type),
    ["access_request.created"],
  );
});

for (const [what, url, secret] of [
  ["plain HTTP to another machine", "http://hooks.example.com/x", "long enough as a secret"],
  ["another protocol", "file:///etc/passwd", "long enough as a secret"],
  ["a password in the address", "https://a:b@hooks.example.com/", "long enough as a secret"],
  ["a short secret", "https://hooks.example.com/", "short"],
  ["no address", "hooks", "long enough as a secret"],
] as const) {
  test(`the configuration refuses ${what}`, () => {
    assert.throws(() => parseWebhook("webhook", { url, secret: new Secret(secret) }), { code: "CONFIG_INVALID" });
  });
}
