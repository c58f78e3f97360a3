import { setTimeout as delay } from "node:timers/promises";
import { MezError } from "../../core/errors/error.js";
import type { Column, CommandContext } from "../../core/plugin/commands.js";
import type { RpcClient } from "../../core/plugin/rpc.js";
import { formatDuration } from "../../core/time/duration.js";
import { type AccessRequest, AccessRequestServiceService } from "../../proto/gen/mezite/access_requests/v1/access_requests.js";

type Client = RpcClient<typeof AccessRequestServiceService>;

export interface ListInput {
  readonly state: string | undefined;
  readonly user: string | undefined;
  readonly limit: number;
}

export interface CreateInput {
  readonly roles: readonly string[] | undefined;
  readonly nodes: readonly string[] | undefined;
  readonly reason: string | undefined;
  /** Seconds. */
  readonly ttl: number | undefined;
  readonly wait: boolean;
}

/** `mezctl access-requests ls`, `msh request ls` */
export async function listRequests(context: CommandContext, { state, user, limit }: ListInput): Promise<void> {
  const client = await context.rpc(AccessRequestServiceService);
  const answer = await client.listAccessRequests({ state: state ?? "", user: user ?? "", limit }, { signal: context.signal });
  await context.output.rows(answer.requests, LIST_COLUMNS);
}

/** `mezctl access-requests get` */
export async function showRequest(context: CommandContext, id: string): Promise<void> {
  const client = await context.rpc(AccessRequestServiceService);
  await context.output.record(await find(client, id, context), RECORD_COLUMNS);
}

/** `mezctl access-requests approve | deny` */
export async function reviewRequest(context: CommandContext, id: string, approve: boolean, reason: string): Promise<void> {
  const client = await context.rpc(AccessRequestServiceService);
  const { id: whole } = await find(client, id, context);
  const { request } = await client.reviewAccessRequest({ id: whole, approve, reason }, { signal: context.signal });
  await print(context, request);
  const given = request?.reviews.filter(({ approved }) => approved).length ?? 0;
  if (request?.state === "pending")
    context.output.note(`${given} of ${request.approvalsNeeded} approvals; others have to approve as well`);
}

/** `mezctl access-requests revoke` */
export async function revokeRequest(context: CommandContext, id: string, reason: string): Promise<void> {
  const client = await context.rpc(AccessRequestServiceService);
  const { id: whole } = await find(client, id, context);
  await print(context, (await client.revokeAccessRequest({ id: whole, reason }, { signal: context.signal })).request);
}

/** `mezctl access-requests cancel`, `msh request cancel` */
export async function cancelRequest(context: CommandContext, id: string): Promise<void> {
  const client = await context.rpc(AccessRequestServiceService);
  const { id: whole } = await find(client, id, context);
  await print(context, (await client.cancelAccessRequest({ id: whole }, { signal: context.signal })).request);
}

/** `msh request create` */
export async function createRequest(context: CommandContext, { wait, ...input }: CreateInput): Promise<void> {
  const client = await context.rpc(AccessRequestServiceService);
  const asked = {
    roles: [...(input.roles ?? [])],
    nodes: [...(input.nodes ?? [])],
    reason: input.reason ?? "",
    ttlSeconds: input.ttl ?? 0,
  };
  // The answer is awaited also after Ctrl-C: a request that the server has by then is cancelled, not left to the reviewers.
  const { request, notice } = await client.createAccessRequest(asked, wait ? {} : { signal: context.signal });
  if (notice !== "") context.output.note(notice);
  if (request === undefined || !wait) return print(context, request);
  await print(context, await waitForDecision(context, client, request));
  await context.renewLogin();
}

/**
 * Waits until a request is decided; Ctrl-C cancels it.
 * @returns It, approved.
 * @throws {MezError} `ACCESS_DENIED` with the reviewer's reason
 */
export async function waitForDecision(context: CommandContext, client: Client, { id }: AccessRequest): Promise<AccessRequest> {
  context.output.note(`request ${id} waits for a review (mezctl access-requests approve ${id}); Ctrl-C cancels it`);
  for (;;) {
    try {
      const { request } = await client.getAccessRequest({ id }, { signal: context.signal });
      if (request?.state === "approved") return request;
      if (request !== undefined && request.state !== "pending") throw refusal(request);
      await delay(POLL_MS, undefined, { signal: context.signal });
    } catch (error) {
      if (context.signal.aborted) await client.cancelAccessRequest({ id }).catch(() => undefined);
      throw error;
    }
  }
}

// --- internal ---

const POLL_MS = 1000;
const UUID_LENGTH = 36;

async function find(client: Client, id: string, { signal }: CommandContext): Promise<AccessRequest> {
  if (id.length >= UUID_LENGTH || !/^[0-9a-f-]{4,}$/.test(id)) {
    const { request } = await client.getAccessRequest({ id }, { signal });
    if (request !== undefined) return request;
  }
  const { requests } = await client.listAccessRequests({ state: "", user: "", limit: 1000 }, { signal });
  const [found, second] = requests.filter((request) => request.id.startsWith(id));
  if (found === undefined) throw new MezError("NOT_FOUND", `there is no access request "${id.slice(0, 64)}" that you may see`);
  if (second !== undefined) throw new MezError("INVALID_ARGUMENT", `"${id}" begins more than one request; write more of it`);
  return found;
}

function refusal({ id, state, reviews, closedBy, closeReason }: AccessRequest): MezError {
  const denial = reviews.find(({ approved }) => !approved);
  const by = denial?.reviewer ?? closedBy;
  const why = denial?.reason || closeReason;
  return new MezError(
    "ACCESS_DENIED",
    `request ${id} was ${state}${by === "" ? "" : ` by ${by}`}${why === "" ? "" : `: ${why}`}`,
  );
}

async function print(context: CommandContext, request: AccessRequest | undefined): Promise<void> {
  if (request !== undefined) await context.output.record(request, RECORD_COLUMNS);
}

const COMMON: readonly Column<AccessRequest>[] = [
  { key: "id", header: "ID", value: ({ id }) => id },
  { key: "user", header: "USER", value: ({ user }) => user },
  { key: "roles", header: "ROLES", value: ({ roles }) => roles },
  { key: "nodes", header: "NODES", value: ({ nodes }) => nodes },
  { key: "state", header: "STATE", value: ({ state }) => state },
];

const LIST_COLUMNS: readonly Column<AccessRequest>[] = [
  ...COMMON,
  { key: "created_at", header: "CREATED", value: ({ createdAt }) => createdAt ?? null },
  { key: "until", header: "UNTIL", value: ({ until }) => until ?? null },
  { key: "reason", header: "REASON", value: ({ reason }) => reason },
];

const RECORD_COLUMNS: readonly Column<AccessRequest>[] = [
  ...COMMON,
  { key: "reason", header: "Reason", value: ({ reason }) => reason },
  { key: "ttl", header: "Lasts", value: ({ ttlSeconds }) => formatDuration(ttlSeconds) },
  { key: "created_at", header: "Created", value: ({ createdAt }) => createdAt ?? null },
  { key: "until", header: "Until", value: ({ until }) => until ?? null },
  { key: "approvals_needed", header: "Approvals needed", value: ({ approvalsNeeded }) => approvalsNeeded },
  {
    key: "reviews",
    header: "Reviews",
    value: ({ reviews }) =>
      reviews.map(
        ({ reviewer, approved, reason }) =>
          `${reviewer} ${approved ? "approved" : "denied"}${reason === "" ? "" : `: ${reason}`}`,
      ),
  },
  { key: "closed_by", header: "Closed by", value: ({ closedBy }) => closedBy },
  { key: "close_reason", header: "Closed because", value: ({ closeReason }) => closeReason },
];
