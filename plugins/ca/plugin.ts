import { MezError } from "../../core/errors/error.js";
import { COLLECTIONS } from "../../core/plugin/collection.js";
import { definePlugin, type PortView, type Resolve } from "../../core/plugin/contract.js";
import { DATABASE } from "../../core/plugin/database.js";
import { LOGGER } from "../../core/plugin/logger.js";
import { CLOCK, PROCESS } from "../../core/plugin/process.js";
import { KEY_BACKEND, type KeyAlgorithm, type KeyBackend } from "../../core/ports/key-backend.js";
import { CA_KEYS, CERTIFICATE_AUTHORITIES, HOST_SEALS, SPIFFE_AUTHORITY, TRUST_FOLLOWERS } from "./api.js";
import { AuthorityDirectory } from "./authority-directory.js";
import { AuthorityKeyMaker, type AuthorityKeysOptions } from "./authority-keys.js";
import { AuthorityEntity, AuthorityKeyEntity, IssuedCertificatesEntity } from "./authority-repository.js";
import { createMissingAuthorities } from "./authority-setup.js";
import { CA_RPC, caHandlers } from "./ca-rpc.js";
import { KeyBackedAuthorities } from "./certificate-authorities.js";
import { CertificateLedger } from "./certificate-ledger.js";
import { FormerKeyEntity } from "./former-key-repository.js";
import { HostCaFile } from "./host-ca-file.js";
import { HostCaSeals } from "./host-seals.js";
import { KeyDisposal } from "./key-disposal.js";
import { CreateCertificateAuthorities } from "./migrations/20260101000000-certificate-authorities.js";
import { CreateIssuedCertificates } from "./migrations/20260401000000-issued-certificates.js";
import { CreateFormerKeys } from "./migrations/20260501000000-former-keys.js";
import { Rotation } from "./rotation.js";
import { SvidIssuer } from "./svid-issuer.js";
import { requireTrustDomain } from "./trust-domain.js";
import { TrustFollowerRegistry } from "./trust-followers.js";

interface Config {
  readonly key_backend: string;
  readonly ssh_key_type: KeyAlgorithm;
  readonly trust_domain?: string;
}

export default definePlugin<Config>({
  register(host, config) {
    let known: Parts | null = null;
    const parts = (resolve: Resolve): Parts => (known ??= build(resolve, config));

    host.store(
      [AuthorityEntity, AuthorityKeyEntity, IssuedCertificatesEntity, FormerKeyEntity],
      [
        { name: "20260101000000-certificate-authorities", class: CreateCertificateAuthorities },
        { name: "20260401000000-issued-certificates", class: CreateIssuedCertificates },
        { name: "20260501000000-former-keys", class: CreateFormerKeys },
      ],
    );
    host.provide(CERTIFICATE_AUTHORITIES, (resolve) => parts(resolve).authorities);
    host.provide(SPIFFE_AUTHORITY, (resolve) => parts(resolve).svids);
    host.provide(HOST_SEALS, (resolve) => new HostCaSeals(resolve(DATABASE), parts(resolve).authorities));
    host.provide(TRUST_FOLLOWERS, (resolve) => parts(resolve).followers);
    host.publish(CA_KEYS, (resolve) => parts(resolve).directory);
    host.rpc(CA_RPC, (resolve) => {
      const { directory, authorities, rotation } = parts(resolve);
      return caHandlers(directory, authorities, rotation, resolve(PROCESS).clusterName);
    });
    host.run((resolve) => {
      let stopFollowing: (() => void) | null = null;
      return {
        async start() {
          const { authorities, svids, keyOptions } = parts(resolve);
          await createMissingAuthorities({ ...keyOptions(), database: resolve(DATABASE) });
          await authorities.load();
          requireTrustDomain(svids.trustDomain(), keyOptions().trustDomain);
          stopFollowing = authorities.follow(resolve(COLLECTIONS).of(CA_KEYS));
        },
        dispose: async () => stopFollowing?.(),
      };
    });
    host.run((resolve) => parts(resolve).ledger);
    host.run((resolve) => parts(resolve).disposal);
    host.run((resolve) => new HostCaFile(resolve(PROCESS).dataDirectory, resolve(COLLECTIONS).of(CA_KEYS)));
  },
});

// --- internal ---

interface Parts {
  readonly authorities: KeyBackedAuthorities;
  readonly svids: SvidIssuer;
  readonly directory: AuthorityDirectory;
  readonly followers: TrustFollowerRegistry;
  readonly ledger: CertificateLedger;
  readonly disposal: KeyDisposal;
  readonly rotation: Rotation;
  /** The backend of new keys is looked up when it is needed. */
  readonly keyOptions: () => AuthorityKeysOptions & { readonly trustDomain: string };
}

/** @throws {MezError} `INVALID_ARGUMENT` */
function backendForNewKeys(backends: PortView<KeyBackend>, name: string): KeyBackend {
  if (backends.names().includes(name)) return backends.get(name);
  throw new MezError(
    "INVALID_ARGUMENT",
    `key backend "${name.slice(0, 40)}" is not here; use one of ${backends.names().join(", ")}, or switch its plugin on`,
  );
}

function build(resolve: Resolve, { key_backend: backendName, ssh_key_type: sshAlgorithm, trust_domain }: Config): Parts {
  const backends = resolve.port(KEY_BACKEND);
  const common = { database: resolve(DATABASE), clock: resolve(CLOCK), logger: resolve(LOGGER) };
  const { database, clock, logger } = common;
  const { clusterName } = resolve(PROCESS);
  const backendOf = (name: string): KeyBackend => backends.get(name);
  const trustDomain = trust_domain ?? clusterName;
  const keyOptions = (name = backendName) => ({
    ...{ clock, clusterName, trustDomain, sshAlgorithm },
    ...{ backendName: name, backend: backendForNewKeys(backends, name) },
  });
  const followers = new TrustFollowerRegistry();
  const ledger = new CertificateLedger(database, clock, logger);
  const disposal = new KeyDisposal({ database, logger, backendOf });
  const authorities = new KeyBackedAuthorities({
    ...{ ...common, clusterName, backendOf },
    onIssued: (type, generation, expiresAt) => ledger.note(type, generation, expiresAt),
  });
  const rotation = new Rotation({
    ...{ database, clock, ledger, followers, backendOf },
    maker: (name) => new AuthorityKeyMaker(keyOptions(name ?? backendName)),
    onMoved: async () => {
      await authorities.settled();
      await disposal.run();
    },
  });
  return {
    svids: new SvidIssuer({ authorities, clock, clusterName }),
    ...{ authorities, followers, ledger, disposal, rotation, keyOptions },
    directory: new AuthorityDirectory(database, ledger, followers),
  };
}
