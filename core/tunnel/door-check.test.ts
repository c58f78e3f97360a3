import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { type TestContext, test } from "node:test";
import { closesWhatEnds } from "./door-check.js";

test("whoever stood still itself does not take a proxy that is busy for one that hangs", async (t) => {
  const address = await listening(t, {}, () => {
    const until = performance.now() + 300;
    while (performance.now() < until);
  });
  assert.equal(await closesWhatEnds(address, 200, new AbortController().signal), true);
});

test("one that takes connections and does nothing with them hangs", async (t) => {
  const address = await listening(t, { pauseOnConnect: true }, () => undefined);
  assert.equal(await closesWhatEnds(address, 50, new AbortController().signal), false);
});

// --- internal ---

async function listening(t: TestContext, options: { readonly pauseOnConnect?: boolean }, taken: () => void): Promise<string> {
  const sockets: Socket[] = [];
  const server = createServer(options, (socket) => {
    sockets.push(socket.on("error", () => undefined));
    taken();
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}
