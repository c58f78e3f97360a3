import assert from "node:assert/strict";
import { appendFileSync, chmodSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, suite, test } from "node:test";
import { eventually } from "../../test/fixtures/eventually.js";
import { silentLogger } from "../../test/fixtures/silent-logger.js";
import { type TestAuthority, testAuthority } from "../../test/fixtures/tls.js";
import { isMezError } from "../errors/error.js";
import { CertificateFiles } from "./certificate-files.js";

suite("files of a web certificate", () => {
  let folder: string;
  let authority: TestAuthority;
  let warnings: string[];
  let files: CertificateFiles | null;
  const paths = () => ({ certificate: join(folder, "cert.pem"), key: join(folder, "key.pem") });
  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), "mezite-web-"));
    authority = await testAuthority();
    warnings = [];
    files = null;
  });
  afterEach(() => {
    files?.close();
    rmSync(folder, { recursive: true });
  });

  /** @returns The certificate. */
  async function write(name: string, more = ""): Promise<string> {
    const { certificatePem, privateKeyPem } = await authority.issue(name);
    writeFileSync(paths().key, privateKeyPem.expose(), { mode: 0o600 });
    writeFileSync(paths().certificate, certificatePem + more);
    return certificatePem;
  }

  function open(onChange: () => void = () => undefined): CertificateFiles {
    files = new CertificateFiles(paths(), { ...silentLogger, warn: (text) => void warnings.push(text) });
    files.watch(onChange, 0.01);
    return files;
  }

  test("are read again when they were replaced", async () => {
    await write("one");
    let changes = 0;
    const opened = open(() => {
      changes += 1;
    });
    const second = await write("two");
    await eventually(() => changes > 0 && opened.current().certificatePem === second);
  });

  const BROKEN = `-----BEGIN CERTIFICATE-----\n${Buffer.from("no certificate").toString("base64")}\n-----END CERTIFICATE-----\n`;
  for (const [what, harm] of [
    ["a chain of which a part is none", () => appendFileSync(paths().certificate, `\n${BROKEN}`)],
    ["a file that is gone", () => rmSync(paths().certificate)],
    [
      "a path that leads in a circle",
      () => {
        rmSync(paths().key);
        symlinkSync("key.pem", paths().key);
      },
    ],
    [
      "a key that others can read",
      () => {
        chmodSync(paths().key, 0o604);
        appendFileSync(paths().key, "\n");
      },
    ],
  ] as const) {
    test(`stay in force over ${what}`, async () => {
      const first = await write("one");
      const opened = open();
      await harm();
      await eventually(() => warnings.length > 0);
      assert.equal(opened.current().certificatePem, first);
    });
  }

  test("that TLS cannot use are refused at the start", async () => {
    await write("one", `\n${BROKEN}`);
    assert.throws(
      () => new CertificateFiles(paths(), silentLogger),
      (error) => isMezError(error, "CONFIG_INVALID"),
    );
  });
});
