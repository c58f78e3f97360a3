import assert from "node:assert/strict";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before, describe, test } from "node:test";
import { isMezError } from "../../../core/errors/error.js";
import { Secret } from "../../../core/plugin/secret.js";
import { systemClock } from "../../../core/time/clock.js";
import { testKeyBackend } from "../../../test/contracts/key-backend.js";
import { openTestDatabase, type TestDatabase } from "../../../test/fixtures/database.js";
import { KeyProtection } from "./key-protection.js";
import { CreateSoftwareKeys } from "./migrations/20260101000000-software-keys.js";
import { SoftwareKeyBackend } from "./software-key-backend.js";
import { findProtection, KeyProtectionEntity, SoftwareKeyEntity } from "./software-key-repository.js";

for (const [name, passphrase] of [
  ["software with a key file", null],
  ["software with a passphrase", "correct horse"],
] as const) {
  testKeyBackend(name, async () => {
    const store = await openStore();
    return { backend: store.backend(passphrase), reopen: async () => store.backend(passphrase), close: store.close };
  });
}

describe("software keys at rest", () => {
  let store: Store;
  before(async () => {
    store = await openStore();
  });
  after(() => store.close());

  test("leaves no private key readable in the files of the database", async () => {
    const backend = store.backend(null);
    for (let round = 0; round < 5; round++)
      for (const algorithm of ["ed25519", "ecdsa-p256"] as const) await backend.generate(algorithm);
    const folder = dirname(store.opened.path);
    const bytes = Buffer.concat(await Promise.all((await readdir(folder)).map((file) => readFile(join(folder, file)))));
    assert.ok(bytes.includes("software_keys"));
    // What PKCS #8 begins with: RFC 8410, 7 for Ed25519, RFC 5915 for P-256. In base64 at each of its three alignments.
    for (const prefix of [
      "302e020100300506032b657004220420",
      "308187020100301306072a8648ce3d020106082a8648ce3d030107046d306b0201010420",
    ]) {
      const der = Buffer.from(prefix, "hex");
      assert.equal(bytes.includes(der), false);
      for (const shift of [0, 1, 2])
        assert.equal(
          bytes.includes(
            Buffer.concat([Buffer.alloc(shift), der])
              .toString("base64")
              .slice(4, -4),
          ),
          false,
        );
    }
  });

  for (const [what, change] of [
    ["moved under another handle", { handle: "11111111-1111-4111-8111-111111111111" }],
    ["called another algorithm", { algorithm: "ecdsa-p256" }],
    ["cut short", { sealedKey: "AAAA" }],
  ] as const) {
    test(`refuses a key that was ${what}`, async () => {
      const { handle } = await store.backend(null).generate("ed25519");
      await store.opened.database.transaction(({ em }) => em.nativeUpdate(SoftwareKeyEntity, { handle }, change));
      const now = "handle" in change ? change.handle : handle;
      await assert.rejects(store.backend(null).sign(now, Buffer.from("x")), (error) => isMezError(error, "KEY_CORRUPT"));
    });
  }
});

describe("the passphrase of software keys", () => {
  test("is needed again, exactly, and a wrong one changes nothing", async (t) => {
    const store = await openStore();
    t.after(store.close);
    const { handle } = await store.backend("correct horse").generate("ed25519");
    const stored = await store.opened.database.read(findProtection);
    for (const wrong of ["Correct horse", "correct horse ", "", null]) {
      await assert.rejects(store.protection(wrong).dataKey(), (error) => isMezError(error, "KEY_PASSPHRASE_INVALID"));
    }
    assert.deepEqual({ ...(await store.opened.database.read(findProtection)) }, { ...stored });
    assert.deepEqual(await readdir(store.folder), []);
    assert.equal((await store.backend("correct horse").sign(handle, Buffer.from("x"))).length, 64);
  });

  test("cannot be empty at the first start", async (t) => {
    const store = await openStore();
    t.after(store.close);
    await assert.rejects(store.protection("").dataKey(), (error) => isMezError(error, "KEY_PASSPHRASE_INVALID"));
    assert.equal(await store.opened.database.read(findProtection), null);
  });

  test("is refused when a key file protects the keys", async (t) => {
    const store = await openStore();
    t.after(store.close);
    await store.protection(null).dataKey();
    await assert.rejects(store.protection("correct horse").dataKey(), (error) => isMezError(error, "KEY_PASSPHRASE_INVALID"));
  });
});

describe("the key file of software keys", () => {
  test("is never made a second time", async (t) => {
    const store = await openStore();
    t.after(store.close);
    await store.protection(null).dataKey();
    await rm(join(store.folder, "ca.key"));
    await assert.rejects(store.protection(null).dataKey(), (error) => isMezError(error, "KEY_FILE_INVALID"));
    assert.deepEqual(await readdir(store.folder), []);
  });

  test("gives two first starts at once the same data key", async (t) => {
    const store = await openStore();
    t.after(store.close);
    const keys = await Promise.all([1, 2, 3, 4].map(() => store.protection(null).dataKey()));
    assert.equal(new Set(keys.map((key) => key.toString("hex"))).size, 1);
    assert.deepEqual(await readdir(store.folder), ["ca.key"]);
  });
});

// --- internal ---

interface Store {
  readonly opened: TestDatabase;
  readonly folder: string;
  protection(passphrase: string | null): KeyProtection;
  backend(passphrase: string | null): SoftwareKeyBackend;
  close(): Promise<void>;
}

async function openStore(): Promise<Store> {
  const folder = await mkdtemp(join(tmpdir(), "mezite-keys-"));
  const opened = await openTestDatabase({
    entities: [KeyProtectionEntity, SoftwareKeyEntity],
    migrations: [{ name: "20260101000000-software-keys", class: CreateSoftwareKeys }],
  });
  const protection = (passphrase: string | null) =>
    new KeyProtection(opened.database, {
      passphrase: passphrase === null ? null : new Secret(passphrase),
      keyFile: join(folder, "ca.key"),
    });
  return {
    opened,
    folder,
    protection,
    backend: (passphrase) => new SoftwareKeyBackend(opened.database, protection(passphrase), systemClock),
    async close() {
      await opened.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
