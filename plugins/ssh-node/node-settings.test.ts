import assert from "node:assert/strict";
import { test } from "node:test";
import { type NodeConfig, nodeSettings } from "./node-settings.js";

const CONFIG: NodeConfig = {
  ...{ name: "web-01", labels: {}, proxy_addrs: [], accept_env: [] },
  ...{ sftp_server: "", policy_stale_after: "1h", session_encryption: "ssh" },
};

for (const [authAddresses, proxyAddress] of [
  [["auth.example.com:3025", "other.example.com:443"], "auth.example.com:3024"],
  [["mezite.example.com:443"], "mezite.example.com:443"],
  [["mezite.example.com:8443"], "mezite.example.com:3024"],
  [["[2001:db8::1]:443"], "[2001:db8::1]:443"],
  [["[2001:db8::1]:3025"], "[2001:db8::1]:3024"],
  [[], "localhost:3024"],
] as const) {
  test(`looks for the proxy of the auth service at ${authAddresses.join(", ")} at ${proxyAddress}`, () => {
    assert.deepEqual(nodeSettings(CONFIG, authAddresses).proxyAddresses, [proxyAddress]);
  });
}

test("takes the proxies of the config, each once", () => {
  const proxy_addrs = ["a.example.com:443", "b.example.com:3024", "a.example.com:443"];
  assert.deepEqual(nodeSettings({ ...CONFIG, proxy_addrs }, ["mezite.example.com:443"]).proxyAddresses, proxy_addrs.slice(0, 2));
});
