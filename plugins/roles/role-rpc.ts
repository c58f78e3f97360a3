import { MezError } from "../../core/errors/error.js";
import type { RpcHandlers, RpcService } from "../../core/plugin/rpc.js";
import { type Role as RoleMessage, RoleServiceService } from "../../proto/gen/mezite/roles/v1/roles.js";
import { isBuiltIn } from "./built-in-roles.js";
import { fromMessage, toMessage } from "./role-message.js";
import type { RoleService } from "./role-service.js";

export const ROLE_RPC: RpcService<typeof RoleServiceService> = {
  name: "mezite.roles.v1.RoleService",
  definition: RoleServiceService,
  permissions: { putRole: "role:update", listRoles: "role:list", getRole: "role:read", deleteRole: "role:delete" },
};

/** Answers the calls about roles. */
export function roleHandlers(roles: RoleService): RpcHandlers<typeof RoleServiceService> {
  return {
    async putRole({ role }, call) {
      if (role === undefined) throw new MezError("INVALID_ARGUMENT", "the role is missing");
      return { created: await roles.put(fromMessage(role), call) };
    },
    async listRoles() {
      return { roles: (await roles.list()).map(withOrigin) };
    },
    async getRole({ name }) {
      return withOrigin(await roles.get(name));
    },
    async deleteRole({ name }, call) {
      await roles.delete(name, call);
      return {};
    },
  };
}

// --- internal ---

function withOrigin(role: Parameters<typeof toMessage>[0]): RoleMessage {
  return { ...toMessage(role), builtIn: isBuiltIn(role.name) };
}
