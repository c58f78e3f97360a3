import { defineEntity, type EntityManager, p } from "@mikro-orm/core";
import type { Entities } from "../../core/plugin/database.js";
import type { AccessRequest, RequestState, Review } from "./access-request.js";

const AccessRequestRecord = defineEntity({
  name: "AccessRequestRecord",
  tableName: "access_requests",
  properties: {
    id: p.text().primary(),
    userName: p.text(),
    roles: p.text(),
    nodes: p.text(),
    reason: p.text(),
    state: p.text(),
    createdAt: p.datetime(),
    ttlSeconds: p.integer(),
    until: p.datetime(),
    approvalsNeeded: p.integer(),
    closedBy: p.text(),
    closeReason: p.text(),
  },
});

const ReviewRecord = defineEntity({
  name: "AccessRequestReviewRecord",
  tableName: "access_request_reviews",
  properties: {
    requestId: p.text().primary(),
    reviewer: p.text().primary(),
    approved: p.boolean(),
    reason: p.text(),
    at: p.datetime(),
  },
});

export const REQUEST_ENTITIES: Entities = [AccessRequestRecord, ReviewRecord];

/** Which requests to find; what is left out does not narrow. */
export interface RequestFilter {
  readonly state?: RequestState;
  readonly user?: string;
}

export async function insertRequest(
  em: EntityManager,
  { user, roles, nodes, reviews: _, ...request }: AccessRequest,
): Promise<void> {
  const lists = { roles: JSON.stringify(roles), nodes: JSON.stringify(nodes) };
  await em.insert(AccessRequestRecord, { ...request, ...lists, userName: user });
}

/** Writes what changes over the life of a request. */
export async function updateRequest(
  em: EntityManager,
  { id, state, until, closedBy, closeReason }: AccessRequest,
): Promise<void> {
  await em.nativeUpdate(AccessRequestRecord, { id }, { state, until, closedBy, closeReason });
}

export async function insertReview(em: EntityManager, requestId: string, review: Review): Promise<void> {
  await em.insert(ReviewRecord, { ...review, requestId });
}

/** Deletes a person's reviews of requests that nobody has decided. */
export async function deletePendingReviews(em: EntityManager, reviewer: string): Promise<void> {
  const reviewed = (await em.find(ReviewRecord, { reviewer })).map(({ requestId }) => requestId);
  const pending = await em.find(AccessRequestRecord, { id: { $in: reviewed }, state: "pending" });
  for (const { id: requestId } of pending) await em.nativeDelete(ReviewRecord, { requestId, reviewer });
}

/** A request with its reviews, or `null`. */
export async function findRequest(em: EntityManager, id: string): Promise<AccessRequest | null> {
  const record = await em.findOne(AccessRequestRecord, { id });
  return record === null ? null : ((await withReviews(em, [record]))[0] ?? null);
}

/** Newest first. */
export async function findRequests(
  em: EntityManager,
  { state, user }: RequestFilter,
  limit: number,
  offset = 0,
): Promise<readonly AccessRequest[]> {
  const where = { ...(state === undefined ? {} : { state }), ...(user === undefined ? {} : { userName: user }) };
  const records = await em.find(AccessRequestRecord, where, { orderBy: { createdAt: "desc", id: "asc" }, limit, offset });
  return withReviews(em, records);
}

/** How many requests of a person nobody has decided. */
export async function countPending(em: EntityManager, user: string): Promise<number> {
  return em.count(AccessRequestRecord, { userName: user, state: "pending" });
}

/** Pending and approved requests whose time is over at `now`. */
export async function findDue(em: EntityManager, now: Date): Promise<readonly AccessRequest[]> {
  const records = await em.find(
    AccessRequestRecord,
    { state: { $in: ["pending", "approved"] }, until: { $lte: now } },
    { orderBy: { until: "asc", id: "asc" } },
  );
  return withReviews(em, records);
}

// --- internal ---

interface StoredRequest extends Omit<AccessRequest, "user" | "roles" | "nodes" | "state" | "reviews"> {
  readonly userName: string;
  /** JSON, as the next. */
  readonly roles: string;
  readonly nodes: string;
  readonly state: string;
}

async function withReviews(em: EntityManager, records: readonly StoredRequest[]): Promise<readonly AccessRequest[]> {
  if (records.length === 0) return [];
  const found = await em.find(
    ReviewRecord,
    { requestId: { $in: records.map(({ id }) => id) } },
    { orderBy: { at: "asc", reviewer: "asc" } },
  );
  return records.map((record) => ({
    ...pick(record),
    reviews: found
      .filter(({ requestId }) => requestId === record.id)
      .map(({ reviewer, approved, reason, at }) => ({ reviewer, approved, reason, at })),
  }));
}

function pick(record: StoredRequest): Omit<AccessRequest, "reviews"> {
  const { id, userName, reason, state, createdAt, ttlSeconds, until, approvalsNeeded, closedBy, closeReason } = record;
  const [roles, nodes] = [record.roles, record.nodes].map((list) => JSON.parse(list) as readonly string[]);
  return {
    ...{ id, user: userName, roles: roles ?? [], nodes: nodes ?? [], reason, state: state as RequestState },
    ...{ createdAt, ttlSeconds, until, approvalsNeeded, closedBy, closeReason },
  };
}
