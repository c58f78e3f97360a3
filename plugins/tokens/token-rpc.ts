import { MezError } from "../../core/errors/error.js";
import type { Caller } from "../../core/plugin/caller.js";
import type { CallContext, RpcHandlers, RpcService } from "../../core/plugin/rpc.js";
import { type JoinToken as JoinTokenMessage, TokenServiceService } from "../../proto/gen/mezite/tokens/v1/tokens.js";
import type { JoinToken, TokenAuthor } from "./api.js";
import type { TokenService } from "./token-service.js";

export const TOKEN_RPC: RpcService<typeof TokenServiceService> = {
  name: "mezite.tokens.v1.TokenService",
  definition: TokenServiceService,
  permissions: { createToken: "token:create", listTokens: "token:list", deleteToken: "token:delete" },
};

/** Answers the calls about join tokens. */
export function tokenHandlers(tokens: TokenService): RpcHandlers<typeof TokenServiceService> {
  return {
    async createToken(request, call) {
      // A token of an agent identity is made with the identity: alone it would admit nobody.
      if (request.roles.includes("identity"))
        throw new MezError("INVALID_ARGUMENT", "tokens of agent identities are made with mezctl agent-identities add");
      const ttlSeconds = request.ttlSeconds === 0 ? undefined : request.ttlSeconds;
      const { token, secret } = await tokens.create({ roles: request.roles, name: request.name, ttlSeconds }, authorOf(call));
      return { token: toMessage(token), secret: secret.expose() };
    },
    async listTokens() {
      return { tokens: (await tokens.list()).map(toMessage) };
    },
    async deleteToken(request, call) {
      return { token: toMessage(await tokens.delete(request.nameOrId, authorOf(call))) };
    },
  };
}

// --- internal ---

function authorOf({ caller, clientAddress }: CallContext): TokenAuthor {
  return { ...nameOf(caller), clientAddress };
}

function nameOf(caller: Caller): TokenAuthor {
  if (caller.kind === "user") return { name: caller.name, roles: caller.roles, sessionId: caller.sessionId };
  return { name: caller.kind === "agent" ? caller.name : "", roles: [] };
}

function toMessage({ id, name, roles, createdBy, createdAt, expiresAt }: JoinToken): JoinTokenMessage {
  return { id, name: name ?? "", roles: [...roles], createdBy, createdAt, expiresAt };
}
