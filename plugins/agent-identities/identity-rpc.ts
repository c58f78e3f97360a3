import { MezError } from "../../core/errors/error.js";
import type { CallContext, RpcHandlers, RpcService } from "../../core/plugin/rpc.js";
import {
  AgentIdentityServiceService,
  type AgentIdentity as IdentityMessage,
  type NewToken,
} from "../../proto/gen/mezite/agent_identities/v1/agent_identities.js";
import type { TokenAuthor } from "../tokens/api.js";
import type { IdentityService, IdentityStatus, NewIdentityToken } from "./identity-service.js";

export const IDENTITY_RPC: RpcService<typeof AgentIdentityServiceService> = {
  name: "mezite.agent_identities.v1.AgentIdentityService",
  definition: AgentIdentityServiceService,
  permissions: {
    createAgentIdentity: "agent-identity:create",
    createAgentIdentityToken: "agent-identity:create",
    listAgentIdentities: "agent-identity:list",
    getAgentIdentity: "agent-identity:read",
    deleteAgentIdentity: "agent-identity:delete",
  },
};

/** Answers the calls of administrators about identities. */
export function identityHandlers(identities: IdentityService): RpcHandlers<typeof AgentIdentityServiceService> {
  return {
    async createAgentIdentity({ name, roles, tokenTtlSeconds }, call) {
      return toNewToken(await identities.create(name, roles, tokenTtlSeconds, authorOf(call)));
    },
    async createAgentIdentityToken({ name, tokenTtlSeconds }, call) {
      return toNewToken(await identities.createToken(name, tokenTtlSeconds, authorOf(call)));
    },
    async listAgentIdentities() {
      return { identities: (await identities.list()).map(toMessage) };
    },
    async getAgentIdentity({ name }) {
      return toMessage(await identities.get(name));
    },
    async deleteAgentIdentity({ name }, call) {
      await identities.delete(name, authorOf(call));
      return {};
    },
  };
}

// --- internal ---

function authorOf({ caller, clientAddress }: CallContext): TokenAuthor {
  if (caller.kind !== "user") throw new MezError("ACCESS_DENIED", "agent identities are managed by people");
  return { name: caller.name, roles: caller.roles, sessionId: caller.sessionId, clientAddress };
}

function toNewToken({ identity, secret, expiresAt }: NewIdentityToken): NewToken {
  return { identity: toMessage(identity), token: secret.expose(), expiresAt };
}

function toMessage({ name, roles, createdBy, createdAt, instances, openTokens }: IdentityStatus): IdentityMessage {
  return {
    ...{ name, createdBy, createdAt, openTokens },
    roles: [...roles],
    instances: instances.map((instance) => ({
      id: instance.id,
      generation: instance.generation,
      state: instance.state,
      certificateSerial: instance.certificateSerial,
      certificateExpiresAt: instance.certificateExpiresAt,
      createdAt: instance.createdAt,
      lastSeen: instance.lastSeen,
      address: instance.address,
      lockReason: instance.lockReason,
    })),
  };
}
