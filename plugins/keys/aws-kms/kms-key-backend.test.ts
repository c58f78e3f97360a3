import assert from "node:assert/strict";
import { generateKeyPairSync, randomBytes, sign } from "node:crypto";
import { type TestContext, test } from "node:test";
import { isMezError } from "../../../core/errors/error.js";
import { Secret } from "../../../core/plugin/secret.js";
import { testKeyBackend } from "../../../test/contracts/key-backend.js";
import { RecordedKms } from "../../../test/fakes/recorded-kms.js";
import { silentLogger } from "../../../test/fixtures/silent-logger.js";
import { rawSignature } from "./ecdsa-signature.js";
import { KmsClients } from "./kms-clients.js";
import { parseKmsHandle } from "./kms-handle.js";
import { KmsKeyBackend } from "./kms-key-backend.js";
import { type KmsConfig, kmsSettings } from "./kms-settings.js";

const CONFIG: KmsConfig = {
  ...{ region: "eu-central-1", endpoint: "", timeout: "1s", deletion_days: 7 },
  ...{ access_key_id: "AKIDEXAMPLE", secret_access_key: new Secret("wJalrXUtnFEMI") },
};
const DATA = randomBytes(64);

testKeyBackend("aws-kms with the recorded contract of KMS", async () => {
  const kms = await RecordedKms.start();
  const clients: KmsClients[] = [];
  const open = (): KmsKeyBackend => {
    const made = backendOf(kms);
    clients.push(made.clients);
    return made.backend;
  };
  return {
    backend: open(),
    maxEd25519Bytes: 4096,
    reopen: async () => open(),
    close: async () => {
      for (const each of clients) each.close();
      await kms.close();
    },
  };
});

test("tries throttled and failed requests again, and those without an answer", async (t) => {
  const { kms, backend } = await bed(t);
  kms.faults(THROTTLED, THROTTLED);
  const { handle } = await backend.generate("ed25519");
  for (const fault of [THROTTLED, { error: "KMSInternalException", status: 500 }, "silence"] as const) {
    kms.operations.length = 0;
    kms.faults(fault);
    assert.equal((await backend.sign(handle, DATA)).length, 64);
    assert.deepEqual(kms.operations, ["Sign", "Sign"]);
  }
});

test("gives up after three attempts, and says that it may be tried again", async (t) => {
  const { kms, backend } = await bed(t);
  const { handle } = await backend.generate("ecdsa-p256");
  kms.operations.length = 0;
  kms.faults(THROTTLED, THROTTLED, THROTTLED);
  await assert.rejects(backend.sign(handle, DATA), (error) => isMezError(error, "KEY_BACKEND_UNAVAILABLE"));
  assert.deepEqual(kms.operations, ["Sign", "Sign", "Sign"]);
  await kms.close();
  await assert.rejects(backend.sign(handle, DATA), (error) => isMezError(error, "KEY_BACKEND_UNAVAILABLE"));
});

test("asks for a key once when nobody knows whether it was made", async (t) => {
  const { kms, backend } = await bed(t);
  kms.faults("lost-answer");
  await assert.rejects(backend.generate("ed25519"), (error) => isMezError(error, "KEY_BACKEND_UNAVAILABLE"));
  assert.deepEqual(kms.operations, ["CreateKey"]);
});

test("waits for a new key that is not known everywhere yet", async (t) => {
  const { kms, backend } = await bed(t);
  kms.delay = 2;
  const { handle } = await backend.generate("ecdsa-p256");
  assert.equal((await backend.sign(handle, DATA)).length, 64);
});

test("leaves no key behind that could not be tried", async (t) => {
  const { kms, backend } = await bed(t);
  kms.faults("none", { error: "AccessDeniedException", status: 400 });
  await assert.rejects(backend.generate("ed25519"), (error) => isMezError(error, "KEY_BACKEND_REFUSED"));
  assert.deepEqual(kms.operations, ["CreateKey", "GetPublicKey", "ScheduleKeyDeletion"]);
  assert.deepEqual(kms.enabledKeys, []);
});

test("says what somebody has to do", async (t) => {
  const { kms, backend } = await bed(t);
  const { handle } = await backend.generate("ed25519");
  for (const [error, words] of [
    ["AccessDeniedException", /the credentials do not allow it/],
    ["UnrecognizedClientException", /the credentials do not allow it/],
    ["UnsupportedOperationException", /it does not do this there/],
  ] as const) {
    kms.faults({ error, status: 400 });
    await assert.rejects(
      backend.sign(handle, DATA),
      (thrown) => isMezError(thrown, "KEY_BACKEND_REFUSED") && words.test(thrown.message),
    );
  }
  kms.faults({ error: "LimitExceededException", status: 400 });
  await assert.rejects(backend.generate("ed25519"), /a quota of the account is used up/);
  kms.disable(parseKmsHandle(handle)?.arn ?? "");
  await assert.rejects(backend.sign(handle, DATA), /the key is disabled/);
});

test("refuses what KMS cannot sign, and answers NOT_FOUND for a key that KMS does not know", async (t) => {
  const { kms, backend } = await bed(t);
  const { handle } = await backend.generate("ed25519");
  kms.operations.length = 0;
  for (const length of [0, 4097])
    await assert.rejects(backend.sign(handle, Buffer.alloc(length)), (error) => isMezError(error, "INVALID_ARGUMENT"));
  assert.deepEqual(kms.operations, []);
  const other = handle.replace(/[0-9a-f]{12}$/, "000000000000");
  await assert.rejects(backend.sign(other, DATA), (error) => isMezError(error, "NOT_FOUND"));
  await backend.destroy(other);
});

for (const [key, change] of [
  ["region", { region: "" }],
  ["endpoint", { endpoint: "http://kms.example.com" }],
  ["endpoint", { endpoint: "kms" }],
  ["access_key_id", { access_key_id: "" }],
  ["secret_access_key", { secret_access_key: undefined }],
] as const) {
  test(`refuses a configuration with a wrong ${key}: ${JSON.stringify(change)}`, () => {
    assert.throws(
      () => kmsSettings({ ...CONFIG, ...change } as KmsConfig),
      (error) => isMezError(error, "CONFIG_INVALID") && error.message.includes(`aws-kms.config.${key} `),
    );
  });
}

test("reads ECDSA signatures of every length, and nothing else", () => {
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  for (let round = 0; round < 200; round += 1) {
    const der = sign("sha256", Buffer.of(round), privateKey);
    const raw = rawSignature(der);
    assert.equal(raw.length, 64);
    assert.throws(() => rawSignature(der.subarray(1)));
    assert.throws(() => rawSignature(Buffer.concat([der, Buffer.of(0)])));
  }
  for (const hex of ["", "30", "3000", "300402000200", "3006020100020100ff", "3080020101020101"])
    assert.throws(
      () => rawSignature(Buffer.from(hex, "hex")),
      (error) => isMezError(error, "KEY_BACKEND_UNAVAILABLE"),
      hex,
    );
});

// --- internal ---

const THROTTLED = { error: "ThrottlingException", status: 400 } as const;

async function bed(t: TestContext) {
  const kms = await RecordedKms.start();
  const { backend, clients } = backendOf(kms);
  t.after(async () => {
    clients.close();
    await kms.close();
  });
  return { kms, backend };
}

function backendOf({ endpoint }: RecordedKms) {
  const clients = new KmsClients(kmsSettings({ ...CONFIG, endpoint }));
  const common = { region: CONFIG.region, deletionDays: CONFIG.deletion_days, clusterName: "prod", logger: silentLogger };
  return { clients, backend: new KmsKeyBackend({ ...common, clients }) };
}
