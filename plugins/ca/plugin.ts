import { COLLECTIONS } from "../../core/plugin/collection.js";
import { definePlugin, type Resolve } from "../../core/plugin/contract.js";
import { DATABASE } from "../../core/plugin/database.js";
import { LOGGER } from "../../core/plugin/logger.js";
import { CLOCK, PROCESS } from "../../core/plugin/process.js";
import { KEY_BACKEND } from "../../core/ports/key-backend.js";
import { CaServiceService } from "../../proto/gen/mezite/ca/v1/ca.js";
import { CA_KEYS, CERTIFICATE_AUTHORITIES } from "./api.js";
import { AuthorityDirectory } from "./authority-directory.js";
import { AuthorityEntity, AuthorityKeyEntity } from "./authority-repository.js";
import { createMissingAuthorities } from "./authority-setup.js";
import { caHandlers } from "./ca-rpc.js";
import { KeyBackedAuthorities } from "./certificate-authorities.js";
import { HostCaFile } from "./host-ca-file.js";
import { CreateCertificateAuthorities } from "./migrations/20260101000000-certificate-authorities.js";

interface Config {
  readonly key_backend: string;
}

export default definePlugin<Config>({
  register(host, config) {
    let authorities: KeyBackedAuthorities | null = null;
    const authoritiesOf = (resolve: Resolve): KeyBackedAuthorities => (authorities ??= build(resolve));

    host.store(
      [AuthorityEntity, AuthorityKeyEntity],
      [{ name: "20260101000000-certificate-authorities", class: CreateCertificateAuthorities }],
    );
    host.provide(CERTIFICATE_AUTHORITIES, authoritiesOf);
    host.publish(CA_KEYS, (resolve) => new AuthorityDirectory(resolve(DATABASE)));
    host.rpc(
      { name: "mezite.ca.v1.CaService", definition: CaServiceService, permissions: { getStatus: "ca:read", export: "public" } },
      (resolve) => caHandlers(new AuthorityDirectory(resolve(DATABASE)), authoritiesOf(resolve), resolve(PROCESS).clusterName),
    );
    host.run((resolve) => {
      let stopFollowing: (() => void) | null = null;
      return {
        async start() {
          const backend = resolve.port(KEY_BACKEND).get(config.key_backend);
          const { clusterName } = resolve(PROCESS);
          await createMissingAuthorities({
            database: resolve(DATABASE),
            clock: resolve(CLOCK),
            clusterName,
            backendName: config.key_backend,
            backend,
          });
          await authoritiesOf(resolve).load();
          stopFollowing = authoritiesOf(resolve).follow(resolve(COLLECTIONS).of(CA_KEYS));
        },
        dispose: async () => stopFollowing?.(),
      };
    });
    host.run((resolve) => new HostCaFile(resolve(PROCESS).dataDirectory, resolve(COLLECTIONS).of(CA_KEYS)));
  },
});

// --- internal ---

function build(resolve: Resolve): KeyBackedAuthorities {
  const backends = resolve.port(KEY_BACKEND);
  return new KeyBackedAuthorities({
    database: resolve(DATABASE),
    clock: resolve(CLOCK),
    logger: resolve(LOGGER),
    clusterName: resolve(PROCESS).clusterName,
    backendOf: (name) => backends.get(name),
  });
}
