import { definePlugin, type Resolve } from "../../core/plugin/contract.js";
import { DATABASE } from "../../core/plugin/database.js";
import { FIRST_START } from "../../core/plugin/first-start.js";
import { LOGGER } from "../../core/plugin/logger.js";
import { CLOCK } from "../../core/plugin/process.js";
import type { Secret } from "../../core/plugin/secret.js";
import { GUARD } from "../../core/ports/guard.js";
import { USER_DATA } from "../../core/ports/user-data.js";
import { PASSWORDS } from "../authentication/api.js";
import { ROLES } from "../roles/api.js";
import { OUTSIDE_USERS, USERS, USERS_COLLECTION } from "./api.js";
import { FirstAdminSetup } from "./first-admin.js";
import { USER_MIGRATIONS } from "./user-migrations.js";
import { USER_ENTITIES } from "./user-repository.js";
import { USER_RPC, userHandlers } from "./user-rpc.js";
import { UserService } from "./user-service.js";

interface Config {
  readonly password?: Secret;
}

export default definePlugin<Config>({
  register(host, config) {
    let service: UserService | undefined;
    const users = (resolve: Resolve): UserService =>
      (service ??= new UserService({
        database: resolve(DATABASE),
        clock: resolve(CLOCK),
        roles: resolve(ROLES),
        passwords: resolve(PASSWORDS),
        guards: resolve.latePort(GUARD),
        data: resolve.latePort(USER_DATA),
      }));
    let setup: FirstAdminSetup | undefined;
    const firstAdmin = (resolve: Resolve): FirstAdminSetup =>
      (setup ??= new FirstAdminSetup({
        database: resolve(DATABASE),
        users: users(resolve),
        roles: resolve(ROLES),
        passwords: resolve(PASSWORDS),
        logger: resolve(LOGGER),
        password: config.password ?? null,
      }));

    host.store(USER_ENTITIES, USER_MIGRATIONS);
    host.provide(USERS, users);
    host.provide(OUTSIDE_USERS, users);
    host.provide(FIRST_START, firstAdmin);
    host.publish(USERS_COLLECTION, users);
    host.rpc(USER_RPC, (resolve) => userHandlers(users(resolve)));
    host.run(firstAdmin);
  },
});
