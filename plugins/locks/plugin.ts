import { CLUSTER_SETTINGS } from "../../core/plugin/cluster-settings.js";
import { COLLECTIONS } from "../../core/plugin/collection.js";
import { definePlugin } from "../../core/plugin/contract.js";
import { DATABASE } from "../../core/plugin/database.js";
import { DUTIES } from "../../core/plugin/duties.js";
import { LIVE_SESSIONS } from "../../core/plugin/live-sessions.js";
import { LOGGER } from "../../core/plugin/logger.js";
import { once } from "../../core/plugin/once.js";
import { CLOCK } from "../../core/plugin/process.js";
import { parseStaleAfter } from "../../core/plugin/stale-after.js";
import { Sweeper } from "../../core/plugin/sweeper.js";
import { CLUSTER_SETTING } from "../../core/ports/cluster-setting.js";
import { GUARD } from "../../core/ports/guard.js";
import { NODES } from "../nodes/api.js";
import {
  DEVICES_COLLECTION,
  MACHINE_INSTANCES_COLLECTION,
  MACHINES_COLLECTION,
  ROLES_COLLECTION,
  USERS_COLLECTION,
} from "../roles/api.js";
import { LOCK_MODE, LOCKS, LOCKS_COLLECTION } from "./api.js";
import { LockBook } from "./lock-book.js";
import { LockEnforcer } from "./lock-enforcer.js";
import { LockGuard } from "./lock-guard.js";
import { LOCK_ENTITIES } from "./lock-repository.js";
import { LOCK_RPC, lockHandlers } from "./lock-rpc.js";
import { LockService } from "./lock-service.js";
import { CreateLocks } from "./migrations/001-locks.js";

interface LocksConfig {
  readonly mode: "strict" | "best_effort";
  readonly lock_stale_after: string;
}

export default definePlugin<LocksConfig>({
  register(host, config) {
    const staleAfterSeconds = parseStaleAfter("plugins.locks.config.lock_stale_after", config.lock_stale_after);
    const book = once((resolve) => new LockBook(resolve(COLLECTIONS).of(LOCKS_COLLECTION), resolve(CLOCK)));
    const guard = once(
      (resolve) =>
        new LockGuard({
          book: book(resolve),
          collections: resolve(COLLECTIONS),
          settings: resolve(CLUSTER_SETTINGS),
          staleAfterSeconds,
        }),
    );

    host.implement(GUARD, "locks", guard);
    host.implement(CLUSTER_SETTING, LOCK_MODE.key, () => ({
      setting: LOCK_MODE,
      file: { key: "plugins.locks.config.mode", value: config.mode },
    }));
    host.run((resolve) => ({ dispose: async () => book(resolve).dispose() }));

    if (host.roles.has("proxy") || host.roles.has("node")) {
      host.run((resolve) => new LockEnforcer(guard(resolve), resolve(LIVE_SESSIONS), resolve(LOGGER)));
    }
    if (!host.roles.has("auth")) return;

    const service = once((resolve) => {
      const collections = resolve(COLLECTIONS);
      const [users, roles] = [collections.of(USERS_COLLECTION), collections.of(ROLES_COLLECTION)];
      return new LockService({ database: resolve(DATABASE), clock: resolve(CLOCK), users, roles });
    });
    host.store(LOCK_ENTITIES, [{ name: "001-locks", class: CreateLocks }]);
    host.publish(LOCKS_COLLECTION, service);
    host.provide(LOCKS, service);
    host.rpc(LOCK_RPC, (resolve) => {
      const collections = resolve(COLLECTIONS);
      return lockHandlers(service(resolve), {
        nodes: collections.of(NODES),
        devices: collections.of(DEVICES_COLLECTION),
        machines: collections.of(MACHINES_COLLECTION),
        instances: collections.of(MACHINE_INSTANCES_COLLECTION),
      });
    });
    host.run(
      (resolve) =>
        new Sweeper({
          what: "expired locks",
          everyMs: 30_000,
          sweep: () => service(resolve).sweep(),
          logger: resolve(LOGGER),
          duties: resolve(DUTIES),
        }),
    );
  },
});
