import assert from "node:assert/strict";
import { once } from "node:events";
import type { Duplex } from "node:stream";
import { test } from "node:test";
import { TUNNEL_ALPN } from "../../../../core/tunnel/tunnel-protocol.js";
import { PROXY_NAME, STREAM_INFO, TunnelTestBed } from "../../../fixtures/tunnel-pair.js";
import { ClientHello } from "./client-hello.js";
import { HeaderDecoder } from "./header-decoder.js";
import { KeyShare } from "./key-share.js";
import { lightIdentityOf } from "./light-identity.js";
import { LightTunnel } from "./light-tunnel.js";

test("a light tunnel brings the streams that a real proxy asks for", async (t) => {
  const bed = await TunnelTestBed.open({}, "ssh");
  t.after(() => bed.dispose());
  const opened = Promise.withResolvers<void>();
  const tunnel = new LightTunnel({
    port: bed.port,
    hello: await ClientHello.of({ servername: PROXY_NAME, ALPNProtocols: [TUNNEL_ALPN] }),
    keyShare: new KeyShare(),
    identity: lightIdentityOf(await bed.authority.issue(STREAM_INFO.nodeName)),
    decoder: new HeaderDecoder(),
    onOpen: opened.resolve,
    onStream: (stream: Duplex) => void stream.pipe(stream),
  });
  tunnel.open();
  t.after(() => tunnel.close());
  await opened.promise;
  for (const word of ["one", "two"]) {
    const stream = await bed.directory.open(STREAM_INFO, undefined, "ssh");
    stream.end(word);
    assert.equal(String((await once(stream, "data"))[0]), word);
  }
  assert.ok(tunnel.isOpen);
});
