import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { needsPeers } from "../../test/peers/require-peer.js";
import { formatOpensshConfig } from "./openssh-config.js";

test("OpenSSH reads it as it is meant, whatever is in the path", needsPeers("ssh"), () => {
  const folder = mkdtempSync(join(tmpdir(), "mezite-config-"));
  try {
    const file = join(folder, "ssh_config");
    const set = '/var/lib/100% "sure"/.sets/000001';
    writeFileSync(file, formatOpensshConfig([{ host: "2001:db8::7", port: 443 }], set, "/var/lib/known hosts"));
    const read = (host: string): string[] => execFileSync("ssh", ["-G", "-F", file, host], { encoding: "utf8" }).split("\n");
    const node = read("deploy@web-01");
    for (const line of ["hostname web-01", "proxyjump mezite-proxy", "identitiesonly yes", "stricthostkeychecking true"])
      assert.ok(node.includes(line), `${line} in ${node.join("\n")}`);
    for (const [key, value] of [
      ["identityfile", '/var/lib/100%% "sure"/.sets/000001/ssh_key'],
      ["certificatefile", '/var/lib/100%% "sure"/.sets/000001/ssh_cert'],
      ["userknownhostsfile", "/var/lib/known hosts"],
    ])
      assert.ok(
        node.some((line) => line === `${key} ${value}` || line === `${key} ${value?.replace("%%", "%")}`),
        node.join("\n"),
      );
    const proxy = read("mezite-proxy");
    for (const line of ["hostname 2001:db8::7", "port 443"]) assert.ok(proxy.includes(line), proxy.join("\n"));
    assert.ok(!proxy.some((line) => line.startsWith("proxyjump ")), "the proxy itself is not jumped to");
  } finally {
    rmSync(folder, { recursive: true });
  }
});
