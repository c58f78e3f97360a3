import { hostname } from "node:os";
import { isMezError, messageOf } from "../../core/errors/error.js";
import type { Collection, Collections } from "../../core/plugin/collection.js";
import type { Lifecycle, ProcessRole } from "../../core/plugin/contract.js";
import type { HostIdentity } from "../../core/plugin/host-identity.js";
import type { Logger } from "../../core/plugin/logger.js";
import type { ProcessInfo } from "../../core/plugin/process.js";
import type { TrustBundle } from "../ca/api.js";
import { type AgentRole, parseAgentName, parseLabels } from "./agent.js";
import type { AgentLink } from "./agent-link.js";
import { AgentPresence } from "./agent-presence.js";
import type { AgentDescription, AgentRegistration } from "./api.js";
import type { HostIdentityRegistry } from "./host-identity-registry.js";
import type { RoleIdentity } from "./role-identity.js";

const DEFAULT_SPREAD_MS = 30_000;
/** The auth service speaks every 5. */
const CUT_OFF_SECONDS = 15;

export interface AgentRuntimeParts {
  readonly process: ProcessInfo;
  readonly identities: HostIdentityRegistry;
  readonly collections: Collections;
  readonly caKeys: Collection<TrustBundle>;
  readonly link: (identity: RoleIdentity) => AgentLink;
  readonly logger: Logger;
  /** Of the roles proxy and auth, which take no name from another plugin. */
  readonly hostName: string;
}

/** The agent's side in this process: gets an identity for each role, follows the cluster, and reports for duty. */
export class AgentRuntime implements Lifecycle, AgentRegistration {
  readonly #presences = new Map<ProcessRole, AgentPresence>();
  readonly #rejoined = new Set<ProcessRole>();
  #stopWatching: (() => void) | null = null;
  #isFollowing = false;

  constructor(private readonly parts: AgentRuntimeParts) {}

  async start(): Promise<void> {
    const { process, identities, caKeys, hostName } = this.parts;
    const stops = [
      caKeys.onChange((key, bundle) => {
        if (key === "host" && bundle !== undefined)
          for (const identity of identities.all()) this.#followAuthority(identity, bundle);
        for (const presence of this.#presences.values()) presence.hurry();
      }),
      ...identities.all().map((identity) =>
        // Later, when a renewal has ended: what came may be of a key that has stopped signing meanwhile.
        identity.onChange(() => void setImmediate(() => this.#checkAgain(identity))),
      ),
    ];
    this.#stopWatching = () => stops.forEach((stop) => void stop());
    if (process.roles.has("auth")) await identities.get("auth").obtain(hostName);
    if (process.roles.has("proxy")) {
      await this.#join("proxy", hostName);
      await this.#report("proxy", {});
    }
  }

  async register({ name, labels }: AgentDescription): Promise<HostIdentity> {
    const checkedLabels = parseLabels(labels);
    const identity = await this.#join("node", parseAgentName(name));
    await this.#report("node", checkedLabels);
    return identity;
  }

  async drain(): Promise<void> {
    await Promise.all([...this.#presences.values()].map((presence) => presence.leave()));
    this.#presences.clear();
  }

  async dispose(): Promise<void> {
    this.#stopWatching?.();
    await this.drain();
    for (const identity of this.parts.identities.all()) await identity.stop();
  }

  async #join(role: AgentRole, name: string): Promise<RoleIdentity> {
    const identity = this.parts.identities.get(role);
    if (!identity.isReady) await identity.obtain(name);
    if (!this.#isFollowing && !this.parts.process.roles.has("auth")) {
      this.#isFollowing = true;
      this.parts.collections.follow(identity.connection());
    }
    // Credentials of an earlier run may be older than what this process knows already.
    this.#checkAgain(identity);
    return identity;
  }

  async #report(role: AgentRole, labels: Readonly<Record<string, string>>): Promise<void> {
    const known = this.#presences.get(role);
    const identity = this.parts.identities.get(role);
    const { link, logger, collections } = this.parts;
    const rejoin = (): Promise<boolean> => this.#rejoin(identity);
    const isCutOff = (): boolean => collections.silentSeconds() > CUT_OFF_SECONDS;
    const presence = known ?? new AgentPresence(link(identity), logger, rejoin, () => collections.ready(), isCutOff);
    this.#presences.set(role, presence);
    const { version } = this.parts.process;
    await presence.start({ labels, hostname: hostname(), os: `${process.platform} ${process.arch}`, version });
  }

  // The record is gone. A token that was given at this start may let us in again, once. Beside the auth service nothing
  // comes back by itself before a restart: an administrator removed it on purpose.
  async #rejoin(identity: RoleIdentity): Promise<boolean> {
    const { process, logger } = this.parts;
    if (process.joinToken === null || process.roles.has("auth") || this.#rejoined.has(identity.role)) return false;
    this.#rejoined.add(identity.role);
    try {
      await identity.rejoin();
      logger.info("joined the cluster again", { role: identity.role });
      return true;
    } catch (error) {
      if (!isMezError(error)) throw error;
      logger.error("could not join the cluster again", { role: identity.role, reason: messageOf(error) });
      return false;
    }
  }

  #checkAgain(identity: RoleIdentity): void {
    const bundle = this.parts.caKeys.get("host");
    if (bundle !== undefined) this.#followAuthority(identity, bundle);
    this.#presences.get(identity.role)?.hurry();
  }

  #followAuthority(identity: RoleIdentity, bundle: TrustBundle): void {
    if (!identity.isReady) return;
    void identity.trust(bundle.certificatesPem);
    if (identity.isSignedBy(bundle.certificatesPem[0])) return;
    const spreadMs = this.#presences.get(identity.role)?.renewalSpreadMs ?? DEFAULT_SPREAD_MS;
    identity.renewSoon(this.parts.process.roles.has("auth") ? 0 : spreadMs);
  }
}
