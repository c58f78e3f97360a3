import { MezError } from "../../core/errors/error.js";
import type { Collection } from "../../core/plugin/collection.js";
import type { SpiffeAuthority, SpiffeBundle, TrustBundle } from "../ca/api.js";
import type { NodeEntry } from "../nodes/api.js";
import { entryOn, type WorkloadEntry, type WorkloadHost } from "./workload-entry.js";
import type { StoredWorkloadIdentity } from "./workload-identity.js";

export interface WorkloadDirectoryParts {
  readonly workloads: Collection<StoredWorkloadIdentity>;
  readonly nodes: Collection<NodeEntry>;
  readonly caKeys: Collection<TrustBundle>;
  readonly authority: Pick<SpiffeAuthority, "trustDomain">;
}

/** What each agent identity may serve now. Answers from the live copies. */
export class WorkloadDirectory {
  constructor(private readonly parts: WorkloadDirectoryParts) {}

  /** By name. */
  entriesFor(identityName: string): readonly WorkloadEntry[] {
    const host = this.#hostOf(identityName);
    const trustDomain = this.parts.authority.trustDomain();
    const entries = [...this.parts.workloads.values()].flatMap((workload) => entryOn(host, workload, trustDomain) ?? []);
    return entries.sort((left, right) => (left.name < right.name ? -1 : 1));
  }

  /** `null` when the identity may not serve it. */
  entryFor(identityName: string, name: string): WorkloadEntry | null {
    const workload = this.parts.workloads.get(name);
    if (workload === undefined) return null;
    return entryOn(this.#hostOf(identityName), workload, this.parts.authority.trustDomain());
  }

  /**
   * The keys of the SPIFFE CA, from the live copy: the authority itself takes a moment more to load new keys.
   * @throws {MezError} `UNAVAILABLE` before there are any
   */
  bundle(): TrustBundle & { readonly spiffe: SpiffeBundle } {
    const { spiffe, ...bundle } = this.parts.caKeys.get(SPIFFE) ?? NO_KEYS;
    if (spiffe === undefined) throw new MezError("UNAVAILABLE", "the spiffe CA is not ready yet");
    return { ...bundle, spiffe };
  }

  /** Calls `listener` after each change that may be one for the identity. Returns the way to stop. */
  onChange(identityName: string, listener: () => void): () => void {
    const stops = [
      this.parts.workloads.onChange(() => listener()),
      this.parts.nodes.onChange((name) => name === identityName && listener()),
      this.parts.caKeys.onChange((type) => type === SPIFFE && listener()),
    ];
    return () => stops.forEach((stop) => void stop());
  }

  #hostOf(identityName: string): WorkloadHost {
    return { identityName, node: this.parts.nodes.get(identityName) ?? null };
  }
}

// --- internal ---

const SPIFFE = "spiffe";
const NO_KEYS: TrustBundle = { sshPublicKeys: [], certificatesPem: [] };
