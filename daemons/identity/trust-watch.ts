import { messageOf } from "../../core/errors/error.js";
import { RemoteCollections } from "../../core/events/remote-collections.js";
import type { CollectionKind } from "../../core/plugin/collection.js";
import type { Logger } from "../../core/plugin/logger.js";
import { formatCertAuthority } from "../../core/ssh/known-hosts.js";
import type { AuthLink } from "./auth-link.js";
import type { IdentityInstance } from "./instance.js";

export interface TrustWatchParts {
  readonly instance: IdentityInstance;
  readonly link: AuthLink;
  readonly logger: Logger;
  /** Called when the User CA signs with another key than before. */
  readonly onSigningKey: () => void;
}

/** Follows the cluster's authorities: a new Host CA key is trusted at once, a new User CA key is a reason to renew. */
export class TrustWatch {
  readonly #collections: RemoteCollections;
  readonly #stop: () => void;
  #signingKey: string | undefined;
  #trusting: Promise<void> = Promise.resolve();

  constructor(private readonly parts: TrustWatchParts) {
    const { logger } = parts;
    // That the auth service is away is said by the renewals.
    this.#collections = new RemoteCollections({ ...logger, warn: (message, fields) => logger.debug(message, fields) });
    this.#stop = this.#collections.of(AUTHORITIES).onChange((type, bundle) => {
      if (bundle === undefined) return;
      if (type === "host") this.#trusting = this.#trusting.then(() => this.#trust(bundle));
      if (type === "user") this.#compareSigningKey(bundle);
    });
  }

  /** Follows under the current certificates; called after each change of them. */
  follow(): void {
    const { instance, link } = this.parts;
    if (instance.current !== null) this.#collections.follow(link.connection(instance.current));
  }

  async close(): Promise<void> {
    this.#stop();
    await this.#collections.close();
    await this.#trusting;
  }

  async #trust({ sshPublicKeys, certificatesPem }: AuthorityKeys): Promise<void> {
    const { instance, logger } = this.parts;
    const comment = instance.current?.knownHosts.split("\n")[0]?.split(" ").slice(4).join(" ") ?? "";
    const lines = sshPublicKeys.map((key) => `${formatCertAuthority(Buffer.from(key, "base64"), ["*"], comment).trimEnd()}\n`);
    try {
      if (!(await instance.trust(certificatesPem, lines.join("")))) return;
      logger.info("the keys of the Host CA have changed", { keys: sshPublicKeys.length });
      this.follow();
    } catch (error) {
      logger.error("could not store the new keys of the Host CA", { reason: messageOf(error) });
    }
  }

  #compareSigningKey({ sshPublicKeys }: AuthorityKeys): void {
    const [signing] = sshPublicKeys;
    if (this.#signingKey !== undefined && signing !== this.#signingKey) this.parts.onSigningKey();
    this.#signingKey = signing;
  }
}

// --- internal ---

interface AuthorityKeys {
  readonly sshPublicKeys: readonly string[];
  readonly certificatesPem: readonly string[];
}

/** As the plugin `ca` publishes it; this daemon has no plugins. */
const AUTHORITIES: CollectionKind<AuthorityKeys> = { name: "ca-keys", version: 1, visibleTo: () => true };
