import assert from "node:assert/strict";
import { after, before, beforeEach, test } from "node:test";
import { isMezError } from "../../core/errors/error.js";
import { askPeer } from "../../core/tunnel/peer-stream.js";
import { tunnelSecureContext } from "../../core/tunnel/tunnel-protocol.js";
import { PROXIES } from "../../plugins/nodes/api.js";
import { CLUSTER, ProxyTestBed, until } from "../fixtures/proxy-bed.js";
import { STREAM_INFO } from "../fixtures/tunnel-pair.js";

const ASKING = { name: "proxy-b", id: "44444444-4444-4444-8444-444444444444" };
const OTHER_ID = "55555555-5555-4555-8555-555555555555";

let bed: ProxyTestBed;
before(async () => {
  bed = await ProxyTestBed.open();
  await bed.node("web-01", "11111111-1111-4111-8111-111111111111");
});
after(() => bed.close());
beforeEach(() => {
  bed.put(PROXIES, ASKING.name, ASKING);
  bed.guards.refuse(() => false);
});

test("a proxy of the cluster gets a stream to a node behind this one", async () => {
  const stream = await ask();
  assert.match((await firstBytes(stream)).toString(), /^SSH-2\.0-/);
  stream.destroy();
});

for (const [who, organization, uri] of [
  ["a node", "mezite:role:node", `mezite://${CLUSTER}/agent/${ASKING.id}`],
  ["the auth service", "mezite:role:auth", `mezite://${CLUSTER}/agent/${ASKING.id}`],
  ["a proxy that had the name before", "mezite:role:proxy", `mezite://${CLUSTER}/agent/${OTHER_ID}`],
  ["a proxy of another cluster", "mezite:role:proxy", `mezite://other/agent/${ASKING.id}`],
] as const)
  test(`${who} gets none`, async () => {
    await assert.rejects(
      ask({ organization, uri }),
      (error) => isMezError(error, "UNAVAILABLE") && /refuses/.test(error.message),
    );
  });

test("a proxy that is locked or removed gets none", async () => {
  bed.guards.refuse(({ agent }) => agent === ASKING.name);
  await assert.rejects(ask(), (error) => isMezError(error, "UNAVAILABLE"));
  bed.guards.refuse(() => false);
  bed.put(PROXIES, ASKING.name, undefined);
  await assert.rejects(ask(), (error) => isMezError(error, "UNAVAILABLE"));
});

for (const [what, end] of [
  ["locked", () => bed.guards.refuse(({ agent }) => agent === ASKING.name)],
  ["removed", () => bed.put(PROXIES, ASKING.name, undefined)],
] as const)
  test(`the streams of a proxy end when it is ${what}`, async () => {
    const stream = await ask();
    await firstBytes(stream);
    stream.resume();
    end();
    await until(() => stream.destroyed);
  });

// --- internal ---

async function ask({ organization = "mezite:role:proxy", uri = `mezite://${CLUSTER}/agent/${ASKING.id}` } = {}) {
  const secureContext = tunnelSecureContext(await bed.tls.issue(ASKING.name, { organization, uri }));
  const address = `127.0.0.1:${bed.tunnelPort()}`;
  const options = { address, secureContext, serverName: "proxy.test", handshakeSeconds: 10, isProxy: () => true };
  return askPeer(STREAM_INFO, options, new AbortController().signal);
}

function firstBytes(stream: NodeJS.ReadableStream): Promise<Buffer> {
  return new Promise((resolve) => stream.once("data", resolve));
}
