import { COLLECTIONS } from "../../core/plugin/collection.js";
import { definePlugin } from "../../core/plugin/contract.js";
import { DATABASE } from "../../core/plugin/database.js";
import { LOGGER } from "../../core/plugin/logger.js";
import { once } from "../../core/plugin/once.js";
import { CLOCK } from "../../core/plugin/process.js";
import { GUARD } from "../../core/ports/guard.js";
import { CA_KEYS, SPIFFE_AUTHORITY, TRUST_FOLLOWERS } from "../ca/api.js";
import { NODES } from "../nodes/api.js";
import { MACHINE_INSTANCES_COLLECTION, MACHINE_PREFIX, MACHINES_COLLECTION } from "../roles/api.js";
import { JWT_ISSUER } from "../spiffe-bundle/api.js";
import { WORKLOADS_COLLECTION } from "./api.js";
import { FOLLOWER_ENTITIES, FollowerExchange } from "./follower-exchange.js";
import { IdentityFollowers } from "./identity-followers.js";
import { ISSUANCE_RPC, issuanceHandlers } from "./issuance-rpc.js";
import { CreateWorkloadIdentities } from "./migrations/001-workload-identities.js";
import { CreateWorkloadFollowers } from "./migrations/002-workload-followers.js";
import { SvidService } from "./svid-service.js";
import { WorkloadDirectory } from "./workload-directory.js";
import { WORKLOAD_ENTITIES } from "./workload-repository.js";
import { WORKLOAD_RPC, workloadHandlers } from "./workload-rpc.js";
import { WorkloadService } from "./workload-service.js";

export default definePlugin({
  register(host) {
    const workloads = once((resolve) => new WorkloadService(resolve(DATABASE), resolve(CLOCK)));
    const followers = once((resolve) => new IdentityFollowers(resolve(CLOCK)));
    host.store(
      [...WORKLOAD_ENTITIES, ...FOLLOWER_ENTITIES],
      [
        { name: "001-workload-identities", class: CreateWorkloadIdentities },
        { name: "002-workload-followers", class: CreateWorkloadFollowers },
      ],
    );
    host.publish(WORKLOADS_COLLECTION, workloads);
    host.rpc(WORKLOAD_RPC, (resolve) => workloadHandlers(workloads(resolve)));
    host.rpc(ISSUANCE_RPC, (resolve) => {
      const collections = resolve(COLLECTIONS);
      const authority = resolve(SPIFFE_AUTHORITY);
      const directory = new WorkloadDirectory({
        ...{ authority, workloads: collections.of(WORKLOADS_COLLECTION) },
        ...{ nodes: collections.of(NODES), caKeys: collections.of(CA_KEYS) },
      });
      const standing = { instances: collections.of(MACHINE_INSTANCES_COLLECTION), guards: resolve.latePort(GUARD) };
      return issuanceHandlers(
        new SvidService({
          database: resolve(DATABASE),
          ...{ directory, authority, standing },
          jwtIssuer: resolve.optional(JWT_ISSUER)?.url ?? null,
        }),
        { ...standing, directory, followers: followers(resolve) },
      );
    });
    host.run((resolve) => new FollowerExchange(followers(resolve), resolve(DATABASE), resolve(LOGGER)));
    host.run((resolve) => {
      const stops: (() => void)[] = [];
      return {
        async start() {
          stops.push(resolve(TRUST_FOLLOWERS).add(() => followers(resolve).all()));
          const machines = resolve(COLLECTIONS).of(MACHINES_COLLECTION);
          stops.push(
            machines.onChange(
              (machine, entry) => entry === undefined && followers(resolve).forget(machine.slice(MACHINE_PREFIX.length)),
            ),
          );
        },
        dispose: async () => stops.forEach((stop) => void stop()),
      };
    });
  },
});
