import { randomUUID } from "node:crypto";
import { MezError } from "../../core/errors/error.js";
import type { AuditEventType } from "../../core/plugin/audit.js";
import type { ClusterSettings } from "../../core/plugin/cluster-settings.js";
import type { CollectionSource } from "../../core/plugin/collection.js";
import type { Database, Transaction } from "../../core/plugin/database.js";
import type { UserData } from "../../core/ports/user-data.js";
import type { Clock } from "../../core/time/clock.js";
import { type AccessGrant, GRANTS_COLLECTION } from "../roles/api.js";
import { type AccessRequest, after, type RequestState } from "./access-request.js";
import { ACCESS_REQUEST_APPROVALS } from "./api.js";
import { type CheckedRequest, checkRequest } from "./new-request.js";
import { auditRecordOf } from "./request-audit.js";
import { lifetimeOf, type RequestLifetimes } from "./request-lifetime.js";
import { type Person, RequestPeople, type RequestPeopleParts } from "./request-people.js";
import {
  countPending,
  deletePendingReviews,
  findDue,
  findRequest,
  findRequests,
  insertRequest,
  insertReview,
  type RequestFilter,
  updateRequest,
} from "./request-repository.js";

export interface RequestServiceParts extends RequestPeopleParts {
  readonly database: Database;
  readonly clock: Clock;
  readonly settings: ClusterSettings;
  readonly lifetimes: RequestLifetimes;
  /** Told of each step inside its transaction, so that what it keeps commits with the step. */
  readonly announce: (tx: Transaction, type: AuditEventType, request: AccessRequest, by: string) => Promise<void>;
}

/** The use cases of access requests, one transaction each. Transactions run one after another, so no step races another. */
export class RequestService implements CollectionSource<AccessGrant>, UserData {
  readonly people: RequestPeople;

  constructor(private readonly parts: RequestServiceParts) {
    this.people = new RequestPeople(parts);
  }

  /**
   * Asks in a person's own name.
   * @returns The request, and empty or why the access will last shorter than asked.
   * @throws {MezError} `INVALID_ARGUMENT`, `ACCESS_DENIED` for what the person may not ask for, `CONFLICT` for too many open ones
   */
  async create(
    asked: Pick<CheckedRequest, "roles" | "nodes" | "reason" | "ttlSeconds">,
    person: Person,
  ): Promise<{ readonly request: AccessRequest; readonly notice: string }> {
    const { database, clock, settings, lifetimes } = this.parts;
    const checked = checkRequest(asked, person.name, this.people.ownRoles(person.name), this.parts);
    const { ttlSeconds, notice } = lifetimeOf(checked.ttlSeconds, this.people.named(checked.roles), lifetimes);
    return database.transaction(async (tx) => {
      const open = await countPending(tx.em, person.name);
      if (open >= MAX_PENDING)
        throw new MezError("CONFLICT", `${person.name} has ${open} open requests; cancel some of them first`);
      const createdAt = clock.now();
      const request: AccessRequest = {
        ...{ id: randomUUID(), user: person.name, roles: checked.roles, nodes: checked.nodes, reason: checked.reason },
        ...{ state: "pending", createdAt, ttlSeconds, until: later(createdAt, lifetimes.pendingTtlSeconds) },
        ...{ approvalsNeeded: settings.get(ACCESS_REQUEST_APPROVALS), reviews: [], closedBy: "", closeReason: "" },
      };
      await insertRequest(tx.em, request);
      await this.#tell(tx, "access_request.created", request, person);
      return { request, notice };
    });
  }

  /** What a person may see, newest first: their own, what they may review or have reviewed; all for `isOverseer`. */
  async list(filter: RequestFilter, limit: number, person: Person, isOverseer: boolean): Promise<readonly AccessRequest[]> {
    return this.parts.database.read(async (em) => {
      const seen: AccessRequest[] = [];
      // In pages: what the person may not see must not push out of the list what they may.
      for (let offset = 0; seen.length < limit && offset < MAX_READ; offset += PAGE) {
        const page = await findRequests(em, filter, PAGE, offset);
        seen.push(...page.filter((request) => isOverseer || this.people.maySee(request, person)));
        if (page.length < PAGE) break;
      }
      return seen.slice(0, limit);
    });
  }

  /** @throws {MezError} `NOT_FOUND`, also for one that the person may not see. */
  async get(id: string, person: Person, isOverseer: boolean): Promise<AccessRequest> {
    const request = await this.parts.database.read((em) => findRequest(em, id));
    if (request === null || !(isOverseer || this.people.maySee(request, person))) throw unknown(id);
    return request;
  }

  /**
   * One person's word. A denial decides; approvals do when there are enough of people who may still give them.
   * @throws {MezError} `NOT_FOUND`, `CONFLICT` when it is decided, or reviewed by the same person; `ACCESS_DENIED`
   */
  async review(id: string, approved: boolean, reason: string, person: Person): Promise<AccessRequest> {
    return this.parts.database.transaction(async (tx) => {
      const request = await this.#visible(tx, id, person);
      if (request.user === person.name)
        throw new MezError("ACCESS_DENIED", "nobody reviews their own request; ask somebody else");
      if (!this.people.mayReview(person.name, request)) {
        const what = [...request.roles, ...request.nodes].join(", ");
        throw new MezError("ACCESS_DENIED", `no role of ${person.name} may review a request for ${what}`);
      }
      const step = approved ? "approve" : "deny";
      const decided = after(request, step);
      if (request.reviews.some(({ reviewer }) => reviewer === person.name))
        throw new MezError("CONFLICT", `${person.name} has reviewed request ${id} already`);
      const review = { reviewer: person.name, approved, reason, at: this.parts.clock.now() };
      await insertReview(tx.em, id, review);
      const reviewed = { ...request, reviews: [...request.reviews, review] };
      if (!approved) return this.#close(tx, reviewed, decided, "access_request.denied", person, reason);
      const valid = reviewed.reviews.filter((each) => each.approved && this.people.mayReview(each.reviewer, request));
      if (valid.length >= request.approvalsNeeded) return this.#grant(tx, reviewed, person);
      await this.#tell(tx, "access_request.reviewed", reviewed, person, { approvals: valid.length });
      return reviewed;
    });
  }

  /**
   * Ends a grant: live copies hear of it with the commit, and end the sessions that needed it.
   * @param isAdmin Who holds the role `admin` may revoke any; others what they approved.
   * @throws {MezError} `NOT_FOUND`, `CONFLICT`, `ACCESS_DENIED`
   */
  async revoke(id: string, reason: string, person: Person, isAdmin: boolean): Promise<AccessRequest> {
    return this.parts.database.transaction(async (tx) => {
      const request = isAdmin ? await existing(tx, id) : await this.#visible(tx, id, person);
      const hasApproved = request.reviews.some(({ reviewer, approved }) => approved && reviewer === person.name);
      if (!isAdmin && !hasApproved) throw new MezError("ACCESS_DENIED", "only admins and those who approved a request revoke it");
      return this.#close(tx, request, after(request, "revoke"), "access_request.revoked", person, reason);
    });
  }

  /** @throws {MezError} `NOT_FOUND`, `CONFLICT`, `ACCESS_DENIED` for another's request */
  async cancel(id: string, person: Person): Promise<AccessRequest> {
    return this.parts.database.transaction(async (tx) => {
      const request = await this.#visible(tx, id, person);
      if (request.user !== person.name) throw new MezError("ACCESS_DENIED", `request ${id} is ${request.user}'s to cancel`);
      return this.#close(tx, request, after(request, "cancel"), "access_request.cancelled", person, "");
    });
  }

  async entries(): Promise<readonly (readonly [string, AccessGrant])[]> {
    const now = this.parts.clock.now();
    const granted = await this.parts.database.read((em) => findRequests(em, { state: "approved" }, Number.MAX_SAFE_INTEGER));
    return granted.filter(({ until }) => until > now).map((request) => [request.id, grantOf(request)] as const);
  }

  /** Ends what is over: grants expire, requests that nobody decided are cancelled. @returns How many. */
  async sweep(): Promise<number> {
    const { database, clock } = this.parts;
    if ((await database.read((em) => findDue(em, clock.now()))).length === 0) return 0;
    return database.transaction(async (tx) => {
      const due = await findDue(tx.em, clock.now());
      for (const request of due) {
        if (request.state === "approved")
          await this.#close(tx, request, after(request, "expire"), "access_request.expired", null, "");
        else await this.#close(tx, request, after(request, "cancel"), "access_request.cancelled", null, "nobody decided in time");
      }
      return due.length;
    });
  }

  /** Takes back what a person asked for and got, and their approvals that have not decided anything yet. */
  async forget(tx: Transaction, user: string): Promise<void> {
    const why = "the user was deleted";
    for (const request of await findRequests(tx.em, { state: "pending", user }, Number.MAX_SAFE_INTEGER))
      await this.#close(tx, request, after(request, "cancel"), "access_request.cancelled", null, why);
    for (const request of await findRequests(tx.em, { state: "approved", user }, Number.MAX_SAFE_INTEGER))
      await this.#close(tx, request, after(request, "revoke"), "access_request.revoked", null, why);
    await deletePendingReviews(tx.em, user);
  }

  async #grant(tx: Transaction, request: AccessRequest, person: Person): Promise<AccessRequest> {
    const entry = this.parts.users.get(request.user);
    if (entry === undefined) throw new MezError("CONFLICT", `${request.user} is not a user any more`);
    try {
      checkRequest(request, request.user, this.people.ownRoles(request.user), this.parts);
    } catch (cause) {
      const why = cause instanceof MezError ? cause.message : String(cause);
      throw new MezError("CONFLICT", `request ${request.id} cannot be granted any more: ${why}`, { cause });
    }
    // As the cluster and the roles allow it now, not when it was asked for.
    const { ttlSeconds } = lifetimeOf(request.ttlSeconds, this.people.named(request.roles), this.parts.lifetimes);
    const until = later(this.parts.clock.now(), ttlSeconds);
    const granted: AccessRequest = { ...request, state: after(request, "approve"), until };
    await updateRequest(tx.em, granted);
    tx.put(GRANTS_COLLECTION, granted.id, grantOf(granted));
    await this.#tell(tx, "access_request.approved", granted, person, { until: granted.until.toISOString() });
    return granted;
  }

  async #close(
    tx: Transaction,
    request: AccessRequest,
    state: RequestState,
    type: AuditEventType,
    person: Person | null,
    closeReason: string,
  ): Promise<AccessRequest> {
    const closed: AccessRequest = { ...request, state, until: this.parts.clock.now(), closedBy: person?.name ?? "", closeReason };
    await updateRequest(tx.em, closed);
    if (request.state === "approved") tx.remove(GRANTS_COLLECTION, request.id);
    await this.#tell(tx, type, closed, person);
    return closed;
  }

  async #tell(
    tx: Transaction,
    type: AuditEventType,
    request: AccessRequest,
    person: Person | null,
    more: Readonly<Record<string, unknown>> = {},
  ): Promise<void> {
    tx.audit(auditRecordOf(type, request, person, more));
    await this.parts.announce(tx, type, request, person?.name ?? "");
  }

  async #visible(tx: Transaction, id: string, person: Person): Promise<AccessRequest> {
    const request = await existing(tx, id);
    if (!this.people.maySee(request, person)) throw unknown(id);
    return request;
  }
}

// --- internal ---

const MAX_PENDING = 20;
const PAGE = 200;
/** How far back a list looks. */
const MAX_READ = 5000;

async function existing(tx: Transaction, id: string): Promise<AccessRequest> {
  const request = await findRequest(tx.em, id);
  if (request === null) throw unknown(id);
  return request;
}

function unknown(id: string): MezError {
  return new MezError("NOT_FOUND", `there is no access request "${id.replace(/\p{Cc}/gu, "?").slice(0, 64)}" that you may see`);
}

function grantOf({ user, roles, nodes, until }: AccessRequest): AccessGrant {
  return { user, roles, nodes, until: until.toISOString() };
}

function later(from: Date, seconds: number): Date {
  return new Date(from.getTime() + seconds * 1000);
}
