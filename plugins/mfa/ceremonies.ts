import { MezError } from "../../core/errors/error.js";
import type { Database, Transaction } from "../../core/plugin/database.js";
import type { CallContext } from "../../core/plugin/rpc.js";
import type { Clock } from "../../core/time/clock.js";
import { CEREMONY_DONE, type CeremonyDone, type ProvenKind } from "./api.js";
import {
  type Ceremony,
  type CeremonyPurpose,
  hashCeremonyToken,
  MAX_FAILURES,
  makeCeremony,
  type NewCeremony,
  type OpenedCeremony,
} from "./ceremony.js";
import {
  deleteCeremoniesOf,
  deleteCeremony,
  deleteExpiredCeremonies,
  deleteOwnEnrolments,
  findCeremony,
  hasExpiredCeremonies,
  insertCeremony,
  updateCeremony,
} from "./ceremony-repository.js";
import { isEnough } from "./factor.js";
import { findFactors } from "./factor-repository.js";

/** Whoever speaks to a ceremony: enough of a call to tell whether it comes from where the ceremony began. */
export type CeremonyCall = Pick<CallContext, "caller" | "clientAddress">;

/** Keeps ceremonies from their beginning to their one use. */
export class Ceremonies {
  readonly #waiting = new Map<string, Set<() => void>>();

  constructor(
    private readonly database: Database,
    private readonly clock: Clock,
  ) {}

  async open(tx: Transaction, wanted: NewCeremony): Promise<OpenedCeremony> {
    const opened = makeCeremony(wanted, this.clock.now());
    await insertCeremony(tx.em, opened.ceremony);
    return opened;
  }

  /**
   * The ceremony of a secret, done or not.
   * @throws {MezError} `MFA_EXPIRED` when there is none, it has run out, or the call comes from elsewhere
   */
  async require(em: Transaction["em"], token: "holder" | "link", secret: string, call: CeremonyCall): Promise<Ceremony> {
    const ceremony = await findCeremony(em, token, hashCeremonyToken(secret));
    if (ceremony === null || ceremony.expiresAt <= this.clock.now()) throw expired(token);
    const isProxy = call.caller.kind === "agent" && call.caller.role === "proxy";
    // A page is opened wherever the person's browser is; and what began at a proxy is answered through that alone.
    if (token === "link" ? !isProxy : ceremony.purpose === "session" ? !isProxy : call.clientAddress !== ceremony.clientAddress)
      throw expired(token);
    return ceremony;
  }

  /** The same, which nobody has done yet. @throws {MezError} `MFA_EXPIRED` */
  async requireOpen(em: Transaction["em"], token: "holder" | "link", secret: string, call: CeremonyCall): Promise<Ceremony> {
    const ceremony = await this.require(em, token, secret, call);
    if (ceremony.provenKind !== null) throw expired(token);
    return ceremony;
  }

  /** Marks it as done; whoever waits goes on after the commit. */
  async finish(tx: Transaction, { id }: Ceremony, kind: ProvenKind, factorId: string | null): Promise<void> {
    await updateCeremony(tx.em, id, { provenKind: kind, provenFactorId: factorId, challenge: null, pendingSecret: null });
    tx.emit(CEREMONY_DONE, { id });
  }

  /** Counts a wrong answer; after the fifth the ceremony is over. */
  async fail(tx: Transaction, { id, failures }: Ceremony): Promise<void> {
    if (failures + 1 < MAX_FAILURES) return updateCeremony(tx.em, id, { failures: failures + 1, challenge: null });
    await deleteCeremony(tx.em, id);
    tx.emit(CEREMONY_DONE, { id });
  }

  /** Ends whatever is under way of a person; who waits for it is told at once. */
  async endAll(tx: Transaction, userName: string): Promise<void> {
    for (const id of await deleteCeremoniesOf(tx.em, userName)) tx.emit(CEREMONY_DONE, { id });
  }

  /** Ends what a person began to add factors with, but for one; the links of administrators stay. */
  async endEnrolments(tx: Transaction, userName: string, exceptId: string | null): Promise<void> {
    for (const id of await deleteOwnEnrolments(tx.em, userName, exceptId)) tx.emit(CEREMONY_DONE, { id });
  }

  /**
   * What was proven, for whoever is about to use it; call `deleteCeremony` with the use.
   * @throws {MezError} `MFA_EXPIRED` for one that is not done, of another purpose or person, whose factor was removed
   *   meanwhile, or that began elsewhere
   */
  async proven(
    tx: Transaction,
    secret: string,
    wanted: { readonly purpose: CeremonyPurpose; readonly userName: string | null; readonly call: CeremonyCall },
  ): Promise<Ceremony & { readonly provenKind: ProvenKind }> {
    const ceremony = await this.require(tx.em, "holder", secret, wanted.call);
    const { provenKind, provenFactorId, minimum, userName } = ceremony;
    if (provenKind === null || ceremony.purpose !== wanted.purpose) throw expired("holder");
    if (wanted.userName !== null && userName !== wanted.userName) throw expired("holder");
    if (minimum !== "" && !isEnough(provenKind, minimum)) throw expired("holder");
    if (provenFactorId !== null && !(await findFactors(tx.em, userName)).some(({ id }) => id === provenFactorId))
      throw new MezError("MFA_EXPIRED", "the second factor was removed meanwhile; begin again");
    return { ...ceremony, provenKind };
  }

  /**
   * Waits until it is done.
   * @returns `null` when that took longer than some seconds; ask again.
   * @throws {MezError} `MFA_EXPIRED`
   */
  async wait(secret: string, call: CallContext): Promise<ProvenKind | null> {
    const read = (): Promise<Ceremony> => this.database.read((em) => this.require(em, "holder", secret, call));
    const { id, provenKind } = await read();
    if (provenKind !== null) return provenKind;
    let woken: () => void = () => undefined;
    const done = new Promise<void>((resolve) => {
      woken = resolve;
    });
    const listeners = this.#waiting.get(id) ?? new Set();
    this.#waiting.set(id, listeners.add(woken));
    const limit = setTimeout(woken, WAIT_MS);
    call.signal.addEventListener("abort", woken, { once: true });
    try {
      const again = (await read()).provenKind; // it may have been done between the two
      if (again !== null) return again;
      await done;
      return (await read()).provenKind;
    } finally {
      clearTimeout(limit);
      call.signal.removeEventListener("abort", woken);
      listeners.delete(woken);
      if (listeners.size === 0) this.#waiting.delete(id);
    }
  }

  /** Lets those go on who wait for it; for the event. */
  wake({ id }: CeremonyDone): void {
    for (const listener of this.#waiting.get(id) ?? []) listener();
  }

  /** Lets everybody look again. */
  wakeAll(): void {
    for (const listener of [...this.#waiting.values()].flatMap((listeners) => [...listeners])) listener();
  }

  /** Removes what has run out. @returns How many. */
  async sweep(): Promise<number> {
    const now = this.clock.now();
    if (!(await this.database.read((em) => hasExpiredCeremonies(em, now)))) return 0;
    return this.database.transaction((tx) => deleteExpiredCeremonies(tx.em, now));
  }
}

// --- internal ---

/** Shorter than a call may take. */
const WAIT_MS = 10_000;

function expired(token: "holder" | "link"): MezError {
  return token === "link"
    ? new MezError("MFA_EXPIRED", "this link was used already, or has run out; begin again")
    : new MezError("MFA_EXPIRED", "the second factor was used already, or took too long; begin again");
}
