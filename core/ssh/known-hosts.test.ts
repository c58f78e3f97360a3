import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { formatPublicKey } from "./authorized-key.js";
import { formatCertAuthority, parseKnownHosts, trustedKeysFor } from "./known-hosts.js";
import { generateSshKeyPair } from "./private-key.js";
import { matchesSourceAddress } from "./source-address.js";

const key = generateSshKeyPair().publicKeyBlob;

for (const [patterns, name, port, isKnown] of [
  ["node1", "node1", 22, true],
  ["node1", "node10", 22, false],
  ["node1,node2", "NODE2", 22, true],
  ["*.example.com", "a.example.com", 22, true],
  ["*.example.com", "aXexample.com", 22, false],
  ["*.example.com,!b.example.com", "b.example.com", 22, false],
  ["node?", "node7", 22, true],
  ["node1", "node1", 2222, false],
  ["[node1]:2222", "node1", 2222, true],
] as const) {
  test(`the line for ${patterns} ${isKnown ? "speaks" : "does not speak"} of ${name} on port ${port}`, () => {
    const { keys } = trustedKeysFor(parseKnownHosts(`# comment\n\n${patterns} ${formatPublicKey(key)}\n`), name, port);
    assert.equal(keys.length, isKnown ? 1 : 0);
  });
}

test("tells CA keys from plain keys, and leaves out revoked ones", () => {
  const authority = generateSshKeyPair().publicKeyBlob;
  const revoked = generateSshKeyPair().publicKeyBlob;
  const hosts = parseKnownHosts(
    [
      formatCertAuthority(authority),
      `node1 ${formatPublicKey(revoked)}`,
      `@revoked * ${formatPublicKey(revoked)}`,
      `node1 ${formatPublicKey(key)}`,
    ].join("\n"),
  );
  const trusted = trustedKeysFor(hosts, "node1");
  assert.deepEqual(
    trusted.authorities.map((blob) => blob.equals(authority)),
    [true],
  );
  assert.deepEqual(
    trusted.keys.map((blob) => blob.equals(key)),
    [true],
  );
});

test("finds names that ssh-keygen hashed", () => {
  const folder = mkdtempSync(join(tmpdir(), "mezite-known-hosts-"));
  const file = join(folder, "known_hosts");
  writeFileSync(file, `node1 ${formatPublicKey(key)}\n`);
  execFileSync("ssh-keygen", ["-H", "-f", file], { stdio: "ignore" });
  const hosts = parseKnownHosts(readFileSync(file, "utf8"));
  rmSync(folder, { recursive: true });
  assert.equal(trustedKeysFor(hosts, "node1").keys.length, 1);
  assert.equal(trustedKeysFor(hosts, "node2").keys.length, 0);
});

for (const line of ["@unknown * ssh-ed25519 AAAA", "node1 ssh-ed25519", "node1 ssh-ed25519 AAAA"]) {
  test(`refuses the line "${line}", naming its number`, () =>
    assert.throws(() => parseKnownHosts(`\n${line}`), { code: "SSH_MALFORMED", message: /line 2/ }));
}

for (const [list, address, isCovered] of [
  ["192.0.2.0/24", "192.0.2.255", true],
  ["192.0.2.0/24", "192.0.3.0", false],
  ["192.0.2.1", "::ffff:192.0.2.1", true],
  ["198.51.100.1,2001:db8::/32", "2001:db8:1::1", true],
  ["0.0.0.0/0", "203.0.113.5", true],
  ["0.0.0.0/0", "2001:db8::1", false],
  ["192.0.2.0/24", "", false],
] as const) {
  test(`source-address ${list} ${isCovered ? "covers" : "does not cover"} "${address}"`, () =>
    assert.equal(matchesSourceAddress(list, address), isCovered));
}

for (const list of ["", "*", "192.0.2.0/33", "192.0.2.0/24,", "192.0.2.0/x", "example.com", "192.0.2.0/24 "]) {
  test(`source-address "${list}" is not valid`, () =>
    assert.throws(() => matchesSourceAddress(list, "192.0.2.1"), { code: "SSH_MALFORMED" }));
}
