import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { duplexPair } from "node:stream";
import { test } from "node:test";
import type { HostIdentity } from "../../core/plugin/host-identity.js";
import { nodeOffline } from "../../core/tunnel/tunnel.js";
import { silentLogger } from "../../test/fixtures/silent-logger.js";
import { testAuthority } from "../../test/fixtures/tls.js";
import { STREAM_INFO, TunnelTestBed } from "../../test/fixtures/tunnel-pair.js";
import { ProxyPeers } from "./proxy-peers.js";

test("asks the proxy first that had the node, as often as it has it", async (t) => {
  const authority = await testAuthority();
  const [far, asking] = await Promise.all([authority.issue("localhost"), authority.issue("proxy-b")]);
  const bed = await TunnelTestBed.open({
    credentials: () => far,
    peers: { admit: () => true, open: async () => duplexPair()[0] },
  });
  t.after(() => bed.dispose());
  let others = 0;
  const other = createServer((socket) => {
    others += 1;
    socket.destroy();
  }).listen(0, "127.0.0.1");
  t.after(() => other.close());
  await once(other, "listening");
  const peers = new ProxyPeers({
    addresses: [`127.0.0.1:${(other.address() as AddressInfo).port}`, `127.0.0.1:${bed.port}`],
    directory: { open: () => Promise.reject(nodeOffline(STREAM_INFO.nodeName)), tellEnd: () => undefined },
    identity: { current: () => asking } as unknown as HostIdentity,
    isProxy: () => true,
    logger: silentLogger,
  });
  for (let session = 0; session < 4; session += 1) {
    const stream = await peers.open(STREAM_INFO, new AbortController().signal, "ssh");
    stream.on("error", () => undefined).destroy();
  }
  assert.equal(others, 1);
});
