import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { test } from "node:test";
import { isMezError } from "../../../core/errors/error.js";
import { Secret } from "../../../core/plugin/secret.js";
import { systemClock } from "../../../core/time/clock.js";
import { testAuditForwarder } from "../../../test/contracts/audit-forwarder.js";
import { freePorts } from "../../../test/fixtures/free-ports.js";
import { WebhookForwarder } from "./webhook-forwarder.js";

testAuditForwarder("webhook", async () => {
  const events: unknown[] = [];
  const server = createServer(async (request, response) => {
    events.push(...(JSON.parse(await text(request)) as { events: unknown[] }).events);
    response.writeHead(204).end();
  });
  const listen = (port: number) => new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
  const stop = async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  };
  const [port = 0] = await freePorts(1);
  await listen(port);
  return {
    forwarder: forwarderTo(port),
    received: () => events,
    away: stop,
    back: () => listen(port),
    close: stop,
  };
});

const EVENTS = [1, 2].map((seq) => ({
  ...{ seq, id: String(seq), type: "user.login", code: "MZ1000", timestamp: new Date(0), success: true },
  json: `{"seq":${seq}}`,
}));

for (const [status, taken] of [
  [204, true],
  [302, false],
  [500, false],
] as const) {
  test(`a signed message of many events is ${taken ? "" : "not "}taken with ${status}`, async (t) => {
    const received: { readonly body: string; readonly signature: string }[] = [];
    const server = createServer(async (request, response) => {
      received.push({ body: await text(request), signature: String(request.headers["mezite-signature"]) });
      response.writeHead(status, { location: "/elsewhere" }).end();
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    t.after(() => server.close());
    const delivery = forwarderTo((server.address() as AddressInfo).port).deliver(EVENTS, new AbortController().signal);
    if (taken) await delivery;
    else await assert.rejects(delivery, (error) => isMezError(error, "UNAVAILABLE"));
    assert.equal(received.length, 1);
    const { body, signature } = received[0] as { body: string; signature: string };
    assert.deepEqual(JSON.parse(body), { cluster_name: "prod", events: [{ seq: 1 }, { seq: 2 }] });
    const [, seconds, hex] = /^t=(\d+),v1=([0-9a-f]{64})$/.exec(signature) ?? [];
    assert.equal(createHmac("sha256", "0123456789abcdef").update(`${seconds}.${body}`).digest("hex"), hex);
  });
}

// --- internal ---

function forwarderTo(port: number): WebhookForwarder {
  const url = new URL(`http://127.0.0.1:${port}/`);
  return new WebhookForwarder({ url, secret: new Secret("0123456789abcdef") }, systemClock, "prod");
}
