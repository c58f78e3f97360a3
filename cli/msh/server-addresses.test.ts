import assert from "node:assert/strict";
import { test } from "node:test";
import { authServersFor, proxiesFor } from "./server-addresses.js";

for (const [asked, proxy, before, expected] of [
  ["auth.example.com", "other.example.com:443", undefined, "auth.example.com:3025"],
  ["mezite.example.com:443", undefined, undefined, "mezite.example.com:443"],
  [undefined, "proxy.example.com", "before.example.com:3025", "proxy.example.com:3025"],
  [undefined, "proxy.example.com:3023", undefined, "proxy.example.com:3025"],
  [undefined, "mezite.example.com:443", undefined, "mezite.example.com:443"],
  [undefined, "[2001:db8::1]:443", undefined, "[2001:db8::1]:443"],
  [undefined, undefined, "before.example.com:3025", "before.example.com:3025"],
  ["a,b:1", undefined, "before.example.com:3025", "a:3025,b:1"],
  [undefined, "a,b:443,a:9", undefined, "a:3025,b:443"],
  [undefined, undefined, "a:1,b:1", "a:1,b:1"],
  [undefined, undefined, undefined, "localhost:3025"],
] as const) {
  test(`logs in at ${expected} when asked for ${asked} and the proxy ${proxy}, after ${before}`, () => {
    assert.equal(authServersFor(asked, proxy, before?.split(",")).join(), expected);
  });
}

for (const [asked, told, authServer, expected] of [
  ["proxy.example.com", "told.example.com:1", "auth.example.com:3025", "proxy.example.com:3023"],
  [undefined, "told.example.com:443", "auth.example.com:3025", "told.example.com:443"],
  [undefined, "", "auth.example.com:3025", "auth.example.com:3023"],
  ["a,b:1", "told.example.com:1", "auth.example.com:3025", "a:3023,b:1"],
  [undefined, "", "a:3025,b:443", "a:3023,b:443"],
  [undefined, "", "mezite.example.com:443", "mezite.example.com:443"],
  [undefined, "", "[2001:db8::1]:443", "[2001:db8::1]:443"],
] as const) {
  test(`finds the proxy at ${expected} when asked for ${asked}, told "${told}", at ${authServer}`, () => {
    assert.equal(proxiesFor(asked, told, authServer.split(",")).join(), expected);
  });
}
