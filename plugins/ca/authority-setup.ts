import type { Database } from "../../core/plugin/database.js";
import { CA_KEYS } from "./api.js";
import { bundleOf } from "./authority.js";
import { AuthorityKeyMaker, type AuthorityKeysOptions } from "./authority-keys.js";
import { type AuthorityKeyRow, findAuthorities, insertAuthority } from "./authority-repository.js";
import { AUTHORITY_TYPES } from "./authority-type.js";

export interface AuthoritySetup extends AuthorityKeysOptions {
  readonly database: Database;
}

/**
 * Makes the authorities that the cluster does not have: all of them at its first start. The keys are made first and
 * count only from the one transaction that names them all. When another process was faster, its authorities count and
 * these keys are destroyed.
 */
export async function createMissingAuthorities(setup: AuthoritySetup): Promise<void> {
  const known = (await setup.database.read(findAuthorities)).map(({ type }) => type);
  const missing = AUTHORITY_TYPES.filter((type) => !known.includes(type));
  if (missing.length === 0) return;
  const maker = new AuthorityKeyMaker(setup);
  const keys: AuthorityKeyRow[] = [];
  try {
    for (const type of missing) keys.push(...(await maker.makeSet(type, 1, "active")));
  } catch (error) {
    await maker.destroy(keys);
    throw error;
  }
  // Not destroyed when this throws: the commit may have been durable all the same.
  const stored = await store(setup, keys);
  await maker.destroy(keys.filter((key) => !stored.includes(key)));
}

// --- internal ---

/** @returns The keys of the authorities that did not exist. */
function store({ database, clock }: AuthoritySetup, keys: readonly AuthorityKeyRow[]): Promise<readonly AuthorityKeyRow[]> {
  return database.transaction(async (tx) => {
    const known = (await findAuthorities(tx.em)).map(({ type }) => type);
    const fresh = keys.filter((key) => !known.includes(key.authority));
    for (const type of new Set(fresh.map((key) => key.authority))) {
      const ours = fresh.filter((key) => key.authority === type);
      const phaseSince = clock.now();
      await insertAuthority(tx.em, { type, phase: "none", phaseSince }, ours);
      tx.put(CA_KEYS, type, bundleOf(type, ours, phaseSince));
      tx.audit({ type: "ca.created", resourceType: "ca", resourceName: type });
    }
    return fresh;
  });
}
