import { isMezError, MezError } from "../../core/errors/error.js";
import type { Database, Transaction } from "../../core/plugin/database.js";
import type { SpiffeAuthority } from "../ca/api.js";
import { MACHINE_PREFIX } from "../roles/api.js";
import { type PresentedInstance, requireStanding, type StandingParts } from "./instance-standing.js";
import { type AttestedProgram, matchesProgram } from "./unix-selectors.js";
import type { WorkloadDirectory } from "./workload-directory.js";
import type { WorkloadEntry } from "./workload-entry.js";
import { isWorkloadName, printable } from "./workload-identity.js";

/** Who asks, and from where. */
export interface SvidCaller extends PresentedInstance {
  readonly clientAddress: string;
}

export interface AttestedProcess extends AttestedProgram {
  readonly pid: number;
}

/** What is asked for, of which state of an entry. */
export interface SvidOrder {
  readonly entry: string;
  readonly revision: string;
  /** `null` for a renewal that no program asked for. */
  readonly process: AttestedProcess | null;
}

export interface X509Order extends SvidOrder {
  /** SubjectPublicKeyInfo, DER. */
  readonly publicKey: Buffer;
}

export interface IssuedX509 {
  readonly spiffeId: string;
  /** The leaf, DER. */
  readonly der: Buffer;
  readonly serial: string;
  readonly expiresAt: Date;
}

export interface IssuedJwt {
  readonly spiffeId: string;
  readonly token: string;
  readonly expiresAt: Date;
}

export interface SvidServiceParts {
  readonly database: Database;
  readonly directory: WorkloadDirectory;
  readonly authority: SpiffeAuthority;
  readonly standing: StandingParts;
  /** URL that stands as `iss` in JWT-SVIDs; `null` for none. */
  readonly jwtIssuer: string | null;
}

/** Issues SVIDs to identity daemons. What they say comes from the workload identity and the node, never from the daemon. */
export class SvidService {
  constructor(private readonly parts: SvidServiceParts) {}

  /**
   * X.509-SVIDs, a result for each order. Signed first and recorded in one transaction, which also sees whether an entry was
   * changed or deleted meanwhile, or the caller locked: what is answered was allowed at its commit.
   * @throws {MezError} `INVALID_ARGUMENT` for too many orders; `ACCESS_DENIED` and `UNAUTHENTICATED` for a caller that may call
   * no more; `KEY_BACKEND_UNAVAILABLE`, safe to retry
   */
  async issueX509(orders: readonly X509Order[], caller: SvidCaller): Promise<readonly (IssuedX509 | MezError)[]> {
    if (orders.length > MAX_ORDERS)
      throw new MezError("INVALID_ARGUMENT", `at most ${MAX_ORDERS} SVIDs can be asked for at once, not ${orders.length}`);
    const signed = await Promise.all(orders.map((order) => this.#unlessRefused(() => this.#signX509(order, caller))));
    return this.#commit(signed, orders, caller);
  }

  /** @throws {MezError} `NOT_FOUND`, `CONFLICT`, and as `issueX509` */
  async issueJwt(order: SvidOrder & { readonly audiences: readonly string[] }, caller: SvidCaller): Promise<IssuedJwt> {
    const signed = await this.#unlessRefused(() => this.#signJwt(order, caller));
    const [result] = await this.#commit([signed], [order], caller);
    if (result === undefined || result instanceof MezError) throw result;
    return result;
  }

  async #signX509(order: X509Order, caller: SvidCaller): Promise<Issued<IssuedX509>> {
    const entry = this.#entryOf(order, caller);
    const { spiffeId, dnsSans: dnsNames, x509TtlSeconds: ttlSeconds } = entry;
    const { authority } = this.parts;
    const { der, serial, expiresAt } = await authority.issueX509Svid({
      ...{ publicKeyDer: order.publicKey, spiffeId, dnsNames, ttlSeconds },
    });
    const svid = { spiffeId, der, serial, expiresAt };
    return { entry, svid, metadata: { kind: "x509", serial } };
  }

  async #signJwt(
    { audiences, ...order }: SvidOrder & { readonly audiences: readonly string[] },
    caller: SvidCaller,
  ): Promise<Issued<IssuedJwt>> {
    const entry = this.#entryOf(order, caller);
    const { authority, jwtIssuer: issuer } = this.parts;
    const { spiffeId, jwtTtlSeconds: ttlSeconds } = entry;
    checkAudiences(audiences);
    const { token, expiresAt } = await authority.issueJwtSvid({ spiffeId, audiences, issuer, ttlSeconds });
    return { entry, svid: { spiffeId, token, expiresAt }, metadata: { kind: "jwt", audiences } };
  }

  /** The entry as it is now, when the order may have it. */
  #entryOf({ entry: name, revision, process }: SvidOrder, caller: SvidCaller): WorkloadEntry {
    const entry = isWorkloadName(name) ? this.parts.directory.entryFor(caller.name, name) : null;
    if (entry === null)
      throw new MezError(
        "NOT_FOUND",
        `there is no workload identity "${printable(name)}" that ${MACHINE_PREFIX}${caller.name} may serve`,
      );
    if (entry.revision !== revision)
      throw new MezError("CONFLICT", `workload identity ${name} is another by now; ask for it as the newest snapshot shows it`);
    if (process !== null && !matchesProgram(entry.unix, process))
      throw new MezError("ACCESS_DENIED", `process ${process.pid} is not what workload identity ${name} is for`);
    return entry;
  }

  /** Errors of the order become its result; what is wrong with the server is thrown. */
  async #unlessRefused<T>(work: () => Promise<T>): Promise<T | MezError> {
    try {
      return await work();
    } catch (error) {
      if (REFUSALS.some((code) => isMezError(error, code))) return error as MezError;
      throw error;
    }
  }

  async #commit<Svid extends IssuedX509 | IssuedJwt>(
    signed: readonly (Issued<Svid> | MezError)[],
    orders: readonly SvidOrder[],
    caller: SvidCaller,
  ): Promise<readonly (Svid | MezError)[]> {
    if (signed.length === 0) return [];
    return this.parts.database.transaction(async (tx) => {
      requireStanding(this.parts.standing, caller); // here, because transactions have an order: what was locked before gets none
      return signed.map((each, index) => {
        const result = each instanceof MezError || this.#isCurrent(each.entry, caller) ? each : changedMeanwhile(each.entry);
        record(tx, result, orders[index], caller);
        return result instanceof MezError ? result : result.svid;
      });
    });
  }

  /** Asked by the writer: every change that somebody was told of is in the live copies by then. */
  #isCurrent({ name, revision }: WorkloadEntry, caller: SvidCaller): boolean {
    return this.parts.directory.entryFor(caller.name, name)?.revision === revision;
  }
}

// --- internal ---

interface Issued<Svid> {
  readonly entry: WorkloadEntry;
  readonly svid: Svid;
  readonly metadata: Readonly<Record<string, unknown>>;
}

const MAX_ORDERS = 100;
const MAX_RECORDED_GIDS = 32;
const MAX_AUDIENCES = 16;
const MAX_AUDIENCE_LENGTH = 255;
const REFUSALS = ["NOT_FOUND", "CONFLICT", "ACCESS_DENIED", "INVALID_ARGUMENT"] as const;

function checkAudiences(audiences: readonly string[]): void {
  const isRight = (audience: string) =>
    audience.length > 0 && audience.length <= MAX_AUDIENCE_LENGTH && !/\p{Cc}/u.test(audience);
  if (audiences.length > 0 && audiences.length <= MAX_AUDIENCES && audiences.every(isRight)) return;
  throw new MezError(
    "INVALID_ARGUMENT",
    `a JWT-SVID is for 1 to ${MAX_AUDIENCES} audiences of 1 to ${MAX_AUDIENCE_LENGTH} characters`,
  );
}

function changedMeanwhile({ name }: WorkloadEntry): MezError {
  return new MezError("NOT_FOUND", `workload identity ${name} was changed or deleted meanwhile`);
}

/** A revision that is behind is what a change looks like for a moment; all else is worth a line. */
function record<Svid extends IssuedX509 | IssuedJwt>(
  tx: Transaction,
  result: Issued<Svid> | MezError,
  order: SvidOrder | undefined,
  { name, roles, instance, clientAddress }: SvidCaller,
): void {
  if (isMezError(result, "CONFLICT")) return;
  const asked = { userName: `${MACHINE_PREFIX}${name}`, userRoles: roles, clientIp: clientAddress };
  const resource = { resourceType: "workload_identity", resourceName: printable(order?.entry ?? "") };
  const process = order?.process ?? null;
  const said = {
    instance,
    ...(process === null ? {} : { process: { ...process, gids: process.gids.slice(0, MAX_RECORDED_GIDS) } }),
  };
  if (result instanceof MezError) {
    const refusal = { type: "workload_identity.svid_refused", success: false, errorMessage: result.message } as const;
    tx.audit({ ...asked, ...resource, ...refusal, metadata: said });
    return;
  }
  const { spiffeId, expiresAt } = result.svid;
  const metadata = { ...result.metadata, spiffe_id: spiffeId, expires_at: expiresAt.toISOString(), ...said };
  tx.audit({ ...asked, ...resource, type: "workload_identity.svid_issued", metadata });
}
