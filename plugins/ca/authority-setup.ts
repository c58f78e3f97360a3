import { randomUUID } from "node:crypto";
import type { Database } from "../../core/plugin/database.js";
import type { BackendKey, KeyBackend } from "../../core/ports/key-backend.js";
import type { Clock } from "../../core/time/clock.js";
import { type AuthorityType, CA_KEYS } from "./api.js";
import { bundleOf } from "./authority.js";
import { type AuthorityKeyRow, findAuthorities, insertAuthority, type KeyUsage } from "./authority-repository.js";
import { AUTHORITY_TYPES, authorityName } from "./authority-type.js";
import { backdated, randomX509Serial } from "./validity.js";
import { certificatePem, distinguishedName, keyIdentifier, signX509 } from "./x509-certificate.js";
import { authorityExtensions } from "./x509-extensions.js";

const AUTHORITY_YEARS = 10;

export interface AuthoritySetup {
  readonly database: Database;
  readonly clock: Clock;
  readonly clusterName: string;
  readonly backendName: string;
  readonly backend: KeyBackend;
}

/**
 * Makes the authorities at the first start of a cluster. The keys are made first and count only from the one
 * transaction that names them all. When another process was faster, its authorities count and these keys are destroyed.
 */
export async function createMissingAuthorities(setup: AuthoritySetup): Promise<void> {
  if ((await setup.database.read(findAuthorities)).length > 0) return;
  const keys: AuthorityKeyRow[] = [];
  try {
    for (const type of AUTHORITY_TYPES) {
      for (const usage of ["ssh", "x509"] as const) keys.push(await generateKey(setup, type, usage));
      await certify(setup, type, keys);
    }
  } catch (error) {
    await destroy(setup, keys);
    throw error;
  }
  // Not destroyed when this throws: the commit may have been durable all the same.
  if (!(await store(setup, keys))) await destroy(setup, keys);
}

// --- internal ---

async function generateKey(setup: AuthoritySetup, authority: AuthorityType, usage: KeyUsage): Promise<AuthorityKeyRow> {
  const key: BackendKey = await setup.backend.generate(usage === "ssh" ? "ed25519" : "ecdsa-p256");
  return {
    id: randomUUID(),
    authority,
    generation: 1,
    usage,
    backend: setup.backendName,
    handle: key.handle,
    publicKey: key.publicKeyDer.toString("base64"),
    certificate: null,
    state: "active",
    createdAt: setup.clock.now(),
  };
}

/** Gives the X.509 key of `type` its self-signed certificate. */
async function certify(
  { backend, clock, clusterName }: AuthoritySetup,
  type: AuthorityType,
  keys: readonly AuthorityKeyRow[],
): Promise<void> {
  for (const key of keys) {
    if (key.authority !== type || key.usage !== "x509") continue;
    const publicKeyDer = Buffer.from(key.publicKey, "base64");
    const name = distinguishedName(authorityName(clusterName, type));
    const notAfter = clock.now();
    notAfter.setUTCFullYear(notAfter.getUTCFullYear() + AUTHORITY_YEARS);
    const der = await signX509(
      {
        serial: randomX509Serial(),
        issuer: name,
        subject: name,
        subjectPublicKeyDer: publicKeyDer,
        notBefore: backdated(clock.now()),
        notAfter,
        extensions: authorityExtensions(keyIdentifier(publicKeyDer)),
      },
      { publicKeyDer, sign: (data) => backend.sign(key.handle, data) },
    );
    key.certificate = certificatePem(der);
  }
}

/** `false` when the authorities exist already. */
function store({ database, clock }: AuthoritySetup, keys: readonly AuthorityKeyRow[]): Promise<boolean> {
  return database.transaction(async (tx) => {
    if ((await findAuthorities(tx.em)).length > 0) return false;
    for (const type of AUTHORITY_TYPES) {
      const ours = keys.filter((key) => key.authority === type);
      await insertAuthority(tx.em, { type, phase: "none", phaseSince: clock.now() }, ours);
      tx.put(CA_KEYS, type, bundleOf(type, ours));
      tx.audit({ type: "ca.created", resourceType: "ca", resourceName: type });
    }
    return true;
  });
}

async function destroy({ backend }: AuthoritySetup, keys: readonly AuthorityKeyRow[]): Promise<void> {
  for (const { handle } of keys) await backend.destroy(handle);
}
