import assert from "node:assert/strict";
import { test } from "node:test";
import { isMezError } from "../../core/errors/error.js";
import type { InstanceCertificates } from "../../proto/gen/mezite/agent_identities/v1/agent_identities.js";
import { certificateSetOf } from "./certificate-set.js";
import { generateInstanceKeys } from "./instance-keys.js";
import { dueAfterMs } from "./renewal-loop.js";

const SERVER_TIME = Date.parse("2026-03-01T12:00:00Z");
const TTL_SECONDS = 60;
const keys = generateInstanceKeys();

for (const [what, offSeconds, dueSeconds] of [
  ["that is right", 0, 40],
  ["that is a minute behind", -60, 40],
  ["that is half a minute ahead, or for an answer that was lost for as long,", 30, 20],
] as const) {
  test(`certificates of a minute are renewed after ${dueSeconds} s by a clock ${what}`, () => {
    const set = certificateSetOf(answer(), keys, "token", new Date(SERVER_TIME + offSeconds * 1000));
    assert.equal(dueAfterMs(set, 1200), dueSeconds * 1000);
  });
}

for (const lacking of [
  { expiresAt: undefined },
  { instanceId: "" },
  { sshCertificate: Buffer.alloc(0) },
  { x509CertificatePem: "" },
]) {
  test(`refuses an answer with ${JSON.stringify(lacking)}`, () => {
    assert.throws(
      () => certificateSetOf({ ...answer(), ...lacking }, keys, "token", new Date()),
      (error) => isMezError(error, "INTERNAL"),
    );
  });
}

// --- internal ---

function answer(): InstanceCertificates {
  return {
    ...{ identity: "ci", instanceId: "0", generation: 1, ttlSeconds: TTL_SECONDS, notice: "", trustPem: ["PEM"] },
    ...{ sshCertificate: keys.sshPublicKey, sshSerial: "7", x509CertificatePem: "PEM", knownHosts: "" },
    expiresAt: new Date(SERVER_TIME + TTL_SECONDS * 1000),
  };
}
