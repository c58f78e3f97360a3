import { MezError } from "../../core/errors/error.js";
import type { CallContext, RpcHandlers, RpcService } from "../../core/plugin/rpc.js";
import {
  type AccessRequest as AccessRequestMessage,
  AccessRequestServiceService,
} from "../../proto/gen/mezite/access_requests/v1/access_requests.js";
import { type AccessRequest, REQUEST_STATES, type RequestState } from "./access-request.js";
import type { Person } from "./request-people.js";
import type { RequestService } from "./request-service.js";

export const REQUEST_RPC: RpcService<typeof AccessRequestServiceService> = {
  name: "mezite.access_requests.v1.AccessRequestService",
  definition: AccessRequestServiceService,
  permissions: {
    createAccessRequest: "access-request:create",
    listAccessRequests: "access-request:list",
    getAccessRequest: "access-request:list",
    reviewAccessRequest: "access-request:use",
    revokeAccessRequest: "access-request:use",
    cancelAccessRequest: "access-request:update",
    suggestAccess: "access-request:list",
  },
};

/** Everybody who is logged in may call; who may do what with which request, the service decides. */
export function requestHandlers(requests: RequestService): RpcHandlers<typeof AccessRequestServiceService> {
  return {
    async createAccessRequest({ roles, nodes, reason, ttlSeconds }, call) {
      const { request, notice } = await requests.create({ roles, nodes, reason, ttlSeconds }, personOf(call));
      return { request: toMessage(request), notice };
    },
    async listAccessRequests({ state, user, limit }, call) {
      const filter = { ...(state === "" ? {} : { state: parseState(state) }), ...(user === "" ? {} : { user }) };
      const person = personOf(call);
      const found = await requests.list(filter, parseLimit(limit), person, isOverseer(person));
      return { requests: found.map(toMessage) };
    },
    async getAccessRequest({ id }, call) {
      const person = personOf(call);
      return { request: toMessage(await requests.get(id, person, isOverseer(person))) };
    },
    async reviewAccessRequest({ id, approve, reason }, call) {
      return { request: toMessage(await requests.review(id, approve, line(reason), personOf(call))) };
    },
    async revokeAccessRequest({ id, reason }, call) {
      const person = personOf(call);
      return { request: toMessage(await requests.revoke(id, line(reason), person, person.roles.includes(ADMIN))) };
    },
    async cancelAccessRequest({ id }, call) {
      return { request: toMessage(await requests.cancel(id, personOf(call))) };
    },
    async suggestAccess({ node }, call) {
      const { reachable, roles, node: isOffered } = requests.people.suggest(node, personOf(call));
      return { reachable, roles: [...roles], node: isOffered };
    },
  };
}

// --- internal ---

const ADMIN = "admin";
const OVERSEERS: readonly string[] = [ADMIN, "auditor"];
const DEFAULT_LIMIT = 100;
const MAX_LIMIT = 1000;
const MAX_REASON_CHARACTERS = 500;

function personOf({ caller, clientAddress }: CallContext): Person {
  if (caller.kind !== "user") throw new MezError("ACCESS_DENIED", "access requests are for people");
  const { name, roles, sessionId } = caller;
  return { name, roles, sessionId, clientAddress };
}

function isOverseer({ roles }: Person): boolean {
  return roles.some((role) => OVERSEERS.includes(role));
}

function parseState(text: string): RequestState {
  const state = REQUEST_STATES.find((known) => known === text);
  if (state !== undefined) return state;
  throw new MezError("INVALID_ARGUMENT", `state "${text.slice(0, 40)}" is unknown; use one of ${REQUEST_STATES.join(", ")}`);
}

function parseLimit(limit: number): number {
  if (limit >= 0 && limit <= MAX_LIMIT) return limit === 0 ? DEFAULT_LIMIT : limit;
  throw new MezError("INVALID_ARGUMENT", `limit ${limit} is not valid; use 1 to ${MAX_LIMIT}`);
}

function line(reason: string): string {
  const text = reason.trim();
  if (text.length <= MAX_REASON_CHARACTERS && !/\p{Cc}/u.test(text)) return text;
  throw new MezError("INVALID_ARGUMENT", `the reason has to be one line of up to ${MAX_REASON_CHARACTERS} characters`);
}

function toMessage(request: AccessRequest): AccessRequestMessage {
  const { until, state, reviews, roles, nodes, ...rest } = request;
  return {
    ...rest,
    ...{ state, roles: [...roles], nodes: [...nodes], reviews: reviews.map((review) => ({ ...review })) },
    until: state === "pending" || state === "approved" ? until : undefined,
  };
}
