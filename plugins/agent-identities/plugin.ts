import { COLLECTIONS } from "../../core/plugin/collection.js";
import { definePlugin } from "../../core/plugin/contract.js";
import { DATABASE } from "../../core/plugin/database.js";
import { DUTIES } from "../../core/plugin/duties.js";
import { LOGGER } from "../../core/plugin/logger.js";
import { once } from "../../core/plugin/once.js";
import { CLOCK, PROCESS } from "../../core/plugin/process.js";
import { Sweeper } from "../../core/plugin/sweeper.js";
import { AUTHENTICATOR } from "../../core/ports/authenticator.js";
import { GUARD } from "../../core/ports/guard.js";
import { JOIN_METHOD } from "../../core/ports/join-method.js";
import { CERTIFICATE_AUTHORITIES } from "../ca/api.js";
import { LOCKS } from "../locks/api.js";
import { ACCESS, MACHINE_INSTANCES_COLLECTION, MACHINES_COLLECTION, ROLES } from "../roles/api.js";
import { TOKENS } from "../tokens/api.js";
import { IdentityAuthenticator } from "./identity-authenticator.js";
import { AGENT_IDENTITY_ENTITIES } from "./identity-repository.js";
import { IDENTITY_RPC, identityHandlers } from "./identity-rpc.js";
import { IdentityService } from "./identity-service.js";
import { InstanceCertificateIssuer } from "./instance-certificates.js";
import { INSTANCE_RPC, instanceHandlers } from "./instance-rpc.js";
import { InstanceService } from "./instance-service.js";
import { CreateAgentIdentities } from "./migrations/001-agent-identities.js";
import { RoleHold } from "./role-hold.js";

export default definePlugin({
  register(host) {
    const identities = once(
      (resolve) =>
        new IdentityService({
          database: resolve(DATABASE),
          clock: resolve(CLOCK),
          roles: resolve(ROLES),
          tokens: resolve(TOKENS),
          guards: resolve.latePort(GUARD),
          locks: resolve.optional(LOCKS),
        }),
    );
    host.store(AGENT_IDENTITY_ENTITIES, [{ name: "001-agent-identities", class: CreateAgentIdentities }]);
    host.publish(MACHINES_COLLECTION, (resolve) => ({ entries: () => identities(resolve).machineEntries() }));
    host.publish(MACHINE_INSTANCES_COLLECTION, (resolve) => ({ entries: () => identities(resolve).instanceEntries() }));
    host.implement(
      AUTHENTICATOR,
      "agent-identity",
      (resolve) =>
        new IdentityAuthenticator({
          authorities: resolve(CERTIFICATE_AUTHORITIES),
          machines: resolve(COLLECTIONS).of(MACHINES_COLLECTION),
          access: resolve(ACCESS),
          guards: resolve.latePort(GUARD),
          clock: resolve(CLOCK),
          clusterName: resolve(PROCESS).clusterName,
        }),
    );
    host.rpc(IDENTITY_RPC, (resolve) => identityHandlers(identities(resolve)));
    host.rpc(INSTANCE_RPC, (resolve) => {
      const { clusterName } = resolve(PROCESS);
      return instanceHandlers(
        new InstanceService({
          database: resolve(DATABASE),
          clock: resolve(CLOCK),
          issuer: new InstanceCertificateIssuer(resolve(CERTIFICATE_AUTHORITIES), resolve(ACCESS), clusterName),
          methods: resolve.port(JOIN_METHOD),
          guards: resolve.latePort(GUARD),
          locks: resolve.optional(LOCKS),
        }),
      );
    });
    host.run((resolve) => new RoleHold(resolve(ROLES), identities(resolve)));
    host.run(
      (resolve) =>
        new Sweeper({
          what: "instances that expired a week ago",
          everyMs: 3_600_000,
          sweep: () => identities(resolve).sweep(),
          logger: resolve(LOGGER),
          duties: resolve(DUTIES),
        }),
    );
  },
});
