import { MezError } from "../../../core/errors/error.js";
import type { RpcHandlers, RpcService } from "../../../core/plugin/rpc.js";
import { JoinKind, JoinServiceService } from "../../../proto/gen/mezite/join/v1/join.js";
import type { TokenJoinServer } from "./token-join-server.js";

export const JOIN_RPC: RpcService<typeof JoinServiceService> = {
  name: "mezite.join.v1.JoinService",
  definition: JoinServiceService,
  permissions: { beginJoin: "public" },
};

/** Answers the calls of a process that joins with a token. */
export function joinHandlers(server: TokenJoinServer): RpcHandlers<typeof JoinServiceService> {
  return {
    async beginJoin(request, call) {
      if (!KINDS.has(request.kind))
        throw new MezError("INVALID_ARGUMENT", "this server knows no join of that kind; update it first");
      return server.begin(request, call.serverFingerprint);
    },
  };
}

// --- internal ---

const KINDS: ReadonlySet<JoinKind> = new Set([JoinKind.JOIN_KIND_AGENT, JoinKind.JOIN_KIND_IDENTITY]);
