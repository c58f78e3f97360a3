import { MezError } from "../../core/errors/error.js";
import { authorOf } from "../../core/plugin/audit-author.js";
import type { Caller } from "../../core/plugin/caller.js";
import type { Database, Transaction } from "../../core/plugin/database.js";
import type { KeyBackend } from "../../core/ports/key-backend.js";
import { type FormerKey, vouchFor } from "../../core/ssh/former-key.js";
import type { Clock } from "../../core/time/clock.js";
import { type AuthorityType, CA_KEYS, type RotationPhase } from "./api.js";
import { bundleOf, sshBlob, sshSignerOf } from "./authority.js";
import type { AuthorityKeyMaker } from "./authority-keys.js";
import * as repository from "./authority-repository.js";
import type { CertificateLedger } from "./certificate-ledger.js";
import { insertFormerKey } from "./former-key-repository.js";
import { objectionTo } from "./rotation-objection.js";
import { droppedBy, isUnderWay, type KeyAge, ROTATION_PHASES, signerIn } from "./rotation-phase.js";
import type { TrustFollowerRegistry } from "./trust-followers.js";

export interface RotationParts {
  readonly database: Database;
  readonly clock: Clock;
  /** Makes keys in a key backend, `null` for the one of the configuration. @throws {MezError} `PLUGIN_NOT_ENABLED` */
  readonly maker: (keyBackend: string | null) => AuthorityKeyMaker;
  readonly ledger: Pick<CertificateLedger, "valid">;
  readonly followers: Pick<TrustFollowerRegistry, "all">;
  readonly backendOf: (name: string) => KeyBackend;
  /** Called after each step: resolves when it is in force here and keys that it dropped are destroyed. */
  readonly onMoved: () => Promise<void>;
}

/** Who moves a rotation, and from where. */
export interface RotationAuthor {
  readonly caller: Caller;
  readonly clientAddress: string;
}

export interface RotationStep {
  readonly type: AuthorityType;
  /** The phase that the author has seen. */
  readonly expectedPhase: string;
  /** Goes on although `ROTATION_NOT_READY` would be thrown. */
  readonly force: boolean;
}

/** Replaces the keys of an authority, phase by phase; what holds in each stands in `rotation-phase.ts`. */
export class Rotation {
  constructor(private readonly parts: RotationParts) {}

  /**
   * Makes new keys beside the old, which stay in the backend that they are in.
   * @param keyBackend Name of the one for the new keys, `null` for the one of the configuration.
   * @throws {MezError} `CONFLICT` while a rotation is under way; `INVALID_ARGUMENT` for an unknown backend;
   * `KEY_BACKEND_UNAVAILABLE`, `KEY_BACKEND_REFUSED`
   */
  async begin(type: AuthorityType, author: RotationAuthor, keyBackend: string | null = null): Promise<void> {
    const { database, clock } = this.parts;
    const maker = this.parts.maker(keyBackend);
    const generation = await database.read(async (em) => {
      refuseSecond(type, (await authorityOf(em, type)).phase);
      return (await repository.lastGeneration(em, type)) + 1;
    });
    const fresh = await maker.makeSet(type, generation, "trusted");
    const begun = await database.transaction(async (tx) => {
      const { phase: from, phaseSince } = await authorityOf(tx.em, type);
      if (isUnderWay(from) || (await repository.lastGeneration(tx.em, type)) >= generation) return from;
      const keys = (await repository.findAuthorityKeys(tx.em)).filter((key) => key.authority === type);
      await repository.insertAuthorityKeys(tx.em, fresh);
      const since = after(phaseSince, clock.now());
      await repository.updatePhase(tx.em, type, "init", since);
      tx.put(CA_KEYS, type, bundleOf(type, [...keys, ...fresh], since));
      audit(tx, "ca.rotation.started", { type, from, to: "init", key_backend: maker.backendName }, author);
      return null;
    });
    if (begun !== null) {
      await maker.destroy(fresh);
      refuseSecond(type, "init");
    }
    await this.parts.onMoved();
  }

  /** One phase on. @throws {MezError} `CONFLICT`, `ROTATION_NOT_READY` */
  advance(step: RotationStep, author: RotationAuthor): Promise<void> {
    return this.#move(step, "next", author);
  }

  /** One phase back; from `init` the rotation ends and the new keys are destroyed. @throws {MezError} as `advance` */
  rollback(step: RotationStep, author: RotationAuthor): Promise<void> {
    return this.#move(step, "previous", author);
  }

  async #move({ type, expectedPhase, force }: RotationStep, way: "next" | "previous", author: RotationAuthor): Promise<void> {
    const { database, clock, ledger, followers } = this.parts;
    const former = await this.#former(type, way);
    await database.transaction(async (tx) => {
      const { phase: from, phaseSince } = await authorityOf(tx.em, type);
      const to = ROTATION_PHASES[from][way];
      if (to === null) throw noWay(type, from, way);
      if (expectedPhase !== from) throw movedMeanwhile(type, from, expectedPhase);
      const keys = (await repository.findAuthorityKeys(tx.em)).filter((key) => key.authority === type);
      const objection = objectionTo({ type, from, to, way, keys, ledger, followers: followers.all() });
      if (objection !== null && !force) throw new MezError("ROTATION_NOT_READY", objection);
      const moved = keysIn(to, from, type, keys);
      if (dropsSealKey(type, from, to)) {
        if (former === null || former.asOf.getTime() !== phaseSince.getTime()) throw movedMeanwhile(type, from, expectedPhase);
        const { publicKey, signature } = former;
        await insertFormerKey(tx.em, type, { publicKey, signature });
      }
      await repository.updateKeyStates(tx.em, moved);
      const since = after(phaseSince, clock.now());
      await repository.updatePhase(tx.em, type, to, since);
      const trusted = moved.filter(({ state }) => state !== "retired");
      tx.put(CA_KEYS, type, bundleOf(type, trusted, since));
      const event =
        way === "previous" ? "ca.rotation.rolled_back" : to === "complete" ? "ca.rotation.completed" : "ca.rotation.advanced";
      audit(tx, event, { type, from, to, ...(objection === null ? {} : { forced: objection }) }, author);
    });
    await this.parts.onMoved();
  }

  /** The key that the step drops, vouched for by the one that signs after it: made before the transaction, as backends may be slow. */
  async #former(type: AuthorityType, way: "next" | "previous"): Promise<(FormerKey & { readonly asOf: Date }) | null> {
    const [{ phase: from, phaseSince: asOf }, keys] = await this.parts.database.read(
      async (em) => [await authorityOf(em, type), await repository.findAuthorityKeys(em)] as const,
    );
    const to = ROTATION_PHASES[from][way];
    if (to === null || !dropsSealKey(type, from, to)) return null;
    const ours = keys.filter(({ authority, usage }) => authority === type && usage === "ssh");
    const moved = keysIn(to, from, type, ours);
    const [dropped, signer] = [moved.find(({ state }) => state === "retired"), moved.find(({ state }) => state === "active")];
    if (dropped === undefined || signer === undefined) return null;
    const key = await vouchFor(sshBlob(dropped).toString("base64"), sshSignerOf(signer, this.parts.backendOf));
    return { ...key, asOf };
  }
}

// --- internal ---

/** Seals of the Host CA have to be verifiable for ever; nothing else that an authority signs outlives its key. */
function dropsSealKey(type: AuthorityType, from: RotationPhase, to: RotationPhase): boolean {
  return type === "host" && droppedBy(from, to) !== null;
}

async function authorityOf(em: Transaction["em"], type: AuthorityType): Promise<repository.AuthorityRow> {
  const authority = await repository.findAuthority(em, type);
  if (authority === null) throw new MezError("NOT_FOUND", `this cluster has no ${type} CA`);
  return authority;
}

/** The time of a step. Two steps never have the same, since the bundles of a SPIFFE CA are numbered by it. */
function after(previous: Date, now: Date): Date {
  return new Date(Math.max(now.getTime(), previous.getTime() + 1));
}

/** The keys as they are to be in `to`, the one that signs first. */
function keysIn(
  to: RotationPhase,
  from: RotationPhase,
  type: AuthorityType,
  keys: readonly repository.AuthorityKeyRow[],
): readonly repository.AuthorityKeyRow[] {
  const newest = Math.max(...keys.map(({ generation }) => generation));
  const ageOf = ({ generation }: repository.AuthorityKeyRow): KeyAge => (generation === newest ? "new" : "old");
  const dropped = droppedBy(from, to);
  const signer = signerIn(to, type);
  return keys
    .map((key): repository.AuthorityKeyRow => {
      const age = ageOf(key);
      return { ...key, state: age === dropped ? "retired" : age === signer ? "active" : "trusted" };
    })
    .sort((a, b) => a.state.localeCompare(b.state) || b.generation - a.generation);
}

function refuseSecond(type: AuthorityType, phase: RotationPhase): void {
  if (!isUnderWay(phase)) return;
  throw new MezError(
    "CONFLICT",
    `the ${type} CA is being rotated already, in phase ${phase}; go on with mezctl ca advance --type=${type}, or back with rollback`,
  );
}

function noWay(type: AuthorityType, from: RotationPhase, way: "next" | "previous"): MezError {
  if (from === "complete" && way === "previous")
    return new MezError(
      "CONFLICT",
      `the rotation of the ${type} CA is complete: its old key is destroyed, so there is no way back`,
    );
  const begin = `begin one with mezctl ca rotate --type=${type}`;
  if (from === "complete")
    return new MezError("CONFLICT", `the rotation of the ${type} CA is complete; ${begin} to replace its keys again`);
  return new MezError("CONFLICT", `no rotation of the ${type} CA is under way; ${begin}`);
}

function movedMeanwhile(type: AuthorityType, from: RotationPhase, expected: string): MezError {
  return new MezError(
    "CONFLICT",
    `the ${type} CA is in phase ${from} by now, not ${expected.slice(0, 20)}: somebody else moved it; look at mezctl ca status`,
  );
}

interface StepRecord {
  readonly type: AuthorityType;
  readonly from: RotationPhase;
  readonly to: RotationPhase;
  readonly forced?: string;
  readonly key_backend?: string;
}

type RotationEvent = "ca.rotation.started" | "ca.rotation.advanced" | "ca.rotation.rolled_back" | "ca.rotation.completed";

function audit(tx: Transaction, type: RotationEvent, { type: authority, ...metadata }: StepRecord, author: RotationAuthor): void {
  tx.audit({ type, ...authorOf(author), resourceType: "ca", resourceName: authority, metadata });
}
