import assert from "node:assert/strict";
import { test } from "node:test";
import { parseListenAddress } from "./listen-address.js";
import { webPublicAddress } from "./web-address.js";

for (const [own, publicAddress, publicListen, webListen, expected] of [
  [null, null, null, null, null],
  ["pages.example.com", null, null, null, null],
  ["pages.example.com", "ssh.example.com:22", ":443", ":3080", "pages.example.com"],
  [null, null, null, ":3080", "localhost:3080"],
  [null, null, null, "127.0.0.1:3080", "localhost:3080"],
  [null, null, null, "proxy.internal:3080", "proxy.internal:3080"],
  [null, null, null, "[2001:db8::1]:3080", "[2001:db8::1]:3080"],
  [null, "ssh.example.com:3023", null, ":3080", "ssh.example.com:3080"],
  [null, "mezite.example.com:443", ":443", ":3080", "mezite.example.com:443"],
  [null, "mezite.example.com:443", ":8443", null, "mezite.example.com:443"],
  [null, null, "0.0.0.0:8443", null, "localhost:8443"],
] as const) {
  test(`people reach the pages at ${expected} with ${JSON.stringify({ own, publicAddress, publicListen, webListen })}`, () => {
    const listen = (text: string | null) => (text === null ? null : parseListenAddress("web_listen_addr", text));
    const addresses = { own, publicAddress, publicListen: listen(publicListen), webListen: listen(webListen) };
    assert.equal(webPublicAddress(addresses), expected);
  });
}
