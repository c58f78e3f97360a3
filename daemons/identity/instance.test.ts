import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { AuthLink } from "./auth-link.js";
import { CertificateFolder } from "./certificate-folder.js";
import type { CertificateSet } from "./certificate-set.js";
import { IdentityInstance } from "./instance.js";
import { generateInstanceKeys } from "./instance-keys.js";

let path: string;
let folder: CertificateFolder;
beforeEach(() => {
  path = mkdtempSync(join(tmpdir(), "mezite-identity-"));
  folder = new CertificateFolder({ path, groupId: null });
});
afterEach(() => rmSync(path, { recursive: true, force: true }));

for (const [what, secondsLater, left] of [
  ["a start leaves a set that was replaced right before it to programs that have read its name", 5, ["000001", "000002"]],
  ["a start removes a set that was replaced long ago", 60, ["000002"]],
  ["a start leaves what was replaced at a time to come, since the clock was set back", -3600, ["000001", "000002"]],
] as const)
  test(what, async () => {
    for (const generation of [1, 2]) await folder.save(setOf(generation));
    const clock = { now: () => new Date(Date.now() + secondsLater * 1000) };
    const instance = new IdentityInstance({ folder, link: new AuthLink([]), clock, token: null, certTtlSeconds: 3600 });
    assert.equal(await instance.restore(), true);
    assert.equal(instance.current?.generation, 2);
    const sets = readdirSync(join(path, ".sets")).map((name) => name.slice(0, 6));
    assert.deepEqual(sets.sort(), left);
  });

// --- internal ---

function setOf(generation: number): CertificateSet {
  return {
    ...{ identity: "ci", instanceId: "0", generation, trustPem: ["PEM"], tokenId: "00", keys: generateInstanceKeys() },
    ...{ issuedAt: new Date(), expiresAt: new Date(Date.now() + 86_400_000), sshCertificate: "", x509CertificatePem: "PEM" },
    ...{ sshSerial: "7", knownHosts: "" },
  };
}
