import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";

describe("compiled ciphers", () => {
  const folder = mkdtempSync(join(tmpdir(), "mezite-ciphers-"));
  const project = fileURLToPath(new URL("../../..", import.meta.url));
  const ciphers = "node_modules/ssh2/lib/protocol/crypto/build/Release";
  before(() => {
    cpSync(join(project, "node_modules/ssh2"), join(folder, "node_modules/ssh2"), { recursive: true, dereference: true });
    for (const name of ["asn1", "bcrypt-pbkdf", "safer-buffer", "tweetnacl", "reflect-metadata", "koffi", "package.json"])
      symlinkSync(
        join(project, name === "package.json" ? name : `node_modules/${name}`),
        join(folder, name === "package.json" ? name : `node_modules/${name}`),
      );
    cpSync(join(project, "dist/core"), join(folder, "dist/core"), { recursive: true });
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  const backend = () => {
    const code = `console.log((await import(${JSON.stringify(join(folder, "dist/core/ssh/ssh2.js"))})).sshCryptoBackend())`;
    const { stdout, stderr } = spawnSync(process.execPath, ["--input-type=module", "-e", code], {
      cwd: folder,
      encoding: "utf8",
    });
    assert.equal(stderr, "");
    return stdout.trim();
  };

  test("are used when they were tried, and not when somebody else compiled them", () => {
    const isCompiled = existsSync(join(folder, ciphers, "sshcrypto.node"));
    assert.equal(backend(), isCompiled ? "native" : "javascript");
    rmSync(join(folder, ciphers, "tried-by-mezite"), { force: true });
    assert.equal(backend(), "javascript");
  });
});
