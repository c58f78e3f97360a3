import { COLLECTIONS } from "../../core/plugin/collection.js";
import { definePlugin, type Resolve } from "../../core/plugin/contract.js";
import { DATABASE } from "../../core/plugin/database.js";
import { CLOCK } from "../../core/plugin/process.js";
import { AUTHORIZER } from "../../core/ports/authorizer.js";
import {
  ACCESS,
  DEVICES_COLLECTION,
  GRANTS_COLLECTION,
  MACHINE_INSTANCES_COLLECTION,
  MACHINES_COLLECTION,
  ROLES,
  ROLES_COLLECTION,
  USERS_COLLECTION,
} from "./api.js";
import { LiveAccess } from "./live-access.js";
import { CreateRoles } from "./migrations/001-roles.js";
import { RoleAuthorizer } from "./role-authorizer.js";
import { ROLE_ENTITIES } from "./role-repository.js";
import { ROLE_RPC, roleHandlers } from "./role-rpc.js";
import { RoleService } from "./role-service.js";

export default definePlugin({
  register(host) {
    let access: LiveAccess | undefined;
    host.provide(ACCESS, (resolve) => {
      const collections = resolve(COLLECTIONS);
      access = new LiveAccess(
        collections.of(ROLES_COLLECTION),
        collections.of(USERS_COLLECTION),
        {
          machines: collections.of(MACHINES_COLLECTION),
          instances: collections.of(MACHINE_INSTANCES_COLLECTION),
          devices: collections.of(DEVICES_COLLECTION),
        },
        { grants: collections.of(GRANTS_COLLECTION), clock: resolve(CLOCK) },
      );
      return access;
    });
    host.run(() => ({ dispose: async () => access?.close() }));
    if (!host.roles.has("auth")) return;

    let service: RoleService | undefined;
    const roles = (resolve: Resolve): RoleService => (service ??= new RoleService(resolve(DATABASE), resolve(CLOCK)));
    host.store(ROLE_ENTITIES, [{ name: "001-roles", class: CreateRoles }]);
    host.provide(ROLES, roles);
    host.publish(ROLES_COLLECTION, roles);
    host.implement(AUTHORIZER, "roles", () => new RoleAuthorizer());
    host.rpc(ROLE_RPC, (resolve) => roleHandlers(roles(resolve)));
  },
});
