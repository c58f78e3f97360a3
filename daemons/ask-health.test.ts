import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { isMezError } from "../core/errors/error.js";
import { type TestAuthority, testAuthority } from "../test/fixtures/tls.js";
import { askHealth } from "./ask-health.js";

const folder = mkdtempSync(join(tmpdir(), "mezite-ask-health-"));
let ours: TestAuthority;
before(async () => {
  ours = await testAuthority();
  const other = await testAuthority("Another CA");
  writeFileSync(join(folder, "ours.pem"), ours.certificatePem);
  writeFileSync(join(folder, "other.pem"), other.certificatePem);
});
after(() => rmSync(folder, { recursive: true, force: true }));

for (const [what, name, caFile, code] of [
  ["believes anybody without a CA", "somebody", null, null],
  ["believes who has a certificate of the CA for the address", "localhost", "ours.pem", null],
  ["does not believe who has one of another CA", "localhost", "other.pem", "UNAVAILABLE"],
  ["does not believe who has one for another name", "web-01", "ours.pem", "UNAVAILABLE"],
  ["refuses a file that is not there", "localhost", "missing.pem", "INVALID_ARGUMENT"],
] as const)
  test(what, async (t) => {
    const port = await serve(t, name);
    const asked = askHealth({ host: "localhost", port }, { timeoutSeconds: 20, caFile: caFile && join(folder, caFile) });
    if (code === null) assert.equal(await asked, `the proxy at localhost:${port} is ready`);
    else await assert.rejects(asked, (error) => isMezError(error, code));
  });

// --- internal ---

async function serve(t: { after(close: () => void): void }, name: string): Promise<number> {
  const { certificatePem, privateKeyPem } = await ours.issue(name);
  const server = createServer({ cert: certificatePem, key: privateKeyPem.expose() }, (_, answer) => answer.end());
  t.after(() => server.close());
  await once(server.listen(0, "localhost"), "listening");
  return (server.address() as AddressInfo).port;
}
