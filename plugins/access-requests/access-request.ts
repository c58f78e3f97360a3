import { MezError } from "../../core/errors/error.js";

export type RequestState = "pending" | "approved" | "denied" | "cancelled" | "expired" | "revoked";

export const REQUEST_STATES: readonly RequestState[] = ["pending", "approved", "denied", "cancelled", "expired", "revoked"];

/** What moves a request on. */
export type RequestStep = "approve" | "deny" | "cancel" | "expire" | "revoke";

/** One person's word on a request. */
export interface Review {
  readonly reviewer: string;
  readonly approved: boolean;
  readonly reason: string;
  readonly at: Date;
}

export interface AccessRequest {
  readonly id: string;
  readonly user: string;
  readonly roles: readonly string[];
  /** Single nodes, by name. */
  readonly nodes: readonly string[];
  readonly reason: string;
  readonly state: RequestState;
  readonly createdAt: Date;
  /** How long the access lasts once it is approved. */
  readonly ttlSeconds: number;
  /** When a pending request is given up, or approved access ends; afterwards when it was closed. */
  readonly until: Date;
  readonly approvalsNeeded: number;
  /** Oldest first. */
  readonly reviews: readonly Review[];
  /** Who cancelled or revoked it; empty for the cluster itself. */
  readonly closedBy: string;
  readonly closeReason: string;
}

/** From each state, the steps that it allows and where they lead. What is not here cannot happen. */
export const TRANSITIONS: Readonly<Record<RequestState, Partial<Readonly<Record<RequestStep, RequestState>>>>> = {
  pending: { approve: "approved", deny: "denied", cancel: "cancelled" },
  approved: { expire: "expired", revoke: "revoked" },
  denied: {},
  cancelled: {},
  expired: {},
  revoked: {},
};

/** @throws {MezError} `CONFLICT` when the state does not allow the step. */
export function after({ id, state }: Pick<AccessRequest, "id" | "state">, step: RequestStep): RequestState {
  const next = TRANSITIONS[state][step];
  if (next !== undefined) return next;
  const hint = step === "cancel" && state === "approved" ? "; an approved one is ended with revoke" : "";
  const decided = state === "pending" ? "not approved yet" : `${state} already`;
  throw new MezError("CONFLICT", `request ${id} is ${decided}${hint}`);
}
