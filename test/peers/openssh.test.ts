import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { needsNewOpenssh, newOpenssh, opensshVersion } from "./openssh.js";

test("the OpenSSH client in the cache is 10.1 or later", needsNewOpenssh(), () => {
  const [major, minor] = opensshVersion(newOpenssh("ssh"));
  assert.ok(major > 10 || (major === 10 && minor >= 1), `${major}.${minor}`);
});

test("the cached ssh jumps through itself", needsNewOpenssh(), () => {
  const { stdout } = spawnSync(newOpenssh("ssh"), ["-F", "none", "-G", "-J", "jump.example", "target.example"], {
    encoding: "utf8",
  });
  assert.match(stdout, /^proxyjump jump\.example$/m);
});

test("the cached ssh-keygen makes a key and signs it", needsNewOpenssh(), () => {
  const folder = mkdtempSync(join(tmpdir(), "mezite-openssh-"));
  try {
    const keygen = (...args: string[]) => spawnSync(newOpenssh("ssh-keygen"), ["-q", ...args], { cwd: folder, encoding: "utf8" });
    assert.equal(keygen("-t", "ed25519", "-N", "", "-f", "ca").status, 0);
    assert.equal(keygen("-t", "ed25519", "-N", "", "-f", "id").status, 0);
    assert.equal(keygen("-s", "ca", "-I", "eve", "-n", "deploy", "id.pub").status, 0);
    assert.match(keygen("-L", "-f", "id-cert.pub").stdout, /Key ID: "eve"/);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
