import { MezError } from "../../core/errors/error.js";
import type { Clock } from "../../core/time/clock.js";
import type { TrustFollower, TrustReport } from "../ca/api.js";

/** An identity daemon, by its instance. */
export interface Daemon {
  /** Of the agent identity. */
  readonly name: string;
  /** UUID. */
  readonly instance: string;
}

/**
 * The identity daemons that serve SVIDs, and which SPIFFE CA keys each said that it hands out, here or to another auth server
 * (`follower-exchange.ts`). One that went away counts for a day more, which is the longest that an
 * X.509-SVID lives.
 */
export class IdentityFollowers {
  readonly #known = new Map<string, Following>();
  #elsewhere: readonly FollowerRow[] = [];
  readonly #forgotten = new Set<string>();

  constructor(private readonly clock: Clock) {}

  /** Notes that a daemon watches. Returns what to call when it does no longer. */
  connected({ name, instance }: Daemon): () => void {
    const known = this.#known.get(instance) ?? { name, streams: 0, lastSeen: this.clock.now(), report: null };
    this.#known.set(instance, known);
    known.streams += 1;
    return () => {
      known.streams -= 1;
      known.lastSeen = this.clock.now();
    };
  }

  /**
   * Notes what a daemon hands out as trusted.
   * @param fingerprints SHA-256 of the DER of each CA certificate.
   * @throws {MezError} `INVALID_ARGUMENT`; `CONFLICT` from one that does not watch
   */
  report({ instance }: Daemon, fingerprints: readonly Buffer[]): void {
    if (fingerprints.length > MAX_FINGERPRINTS || fingerprints.some(({ length }) => length !== 32))
      throw new MezError("INVALID_ARGUMENT", "what the daemon says of the CA keys that it hands out cannot be read");
    const known = this.#known.get(instance);
    if (known === undefined) throw new MezError("CONFLICT", "report what is handed out while watching the workloads");
    known.report = { trusted: { spiffe: fingerprints.map(written) }, certificateAuthority: "" };
  }

  all(): readonly TrustFollower[] {
    const oldest = this.clock.now().getTime() - FORGOTTEN_AFTER_MS;
    for (const [instance, { streams, lastSeen }] of this.#known)
      if (streams === 0 && lastSeen.getTime() < oldest) this.#known.delete(instance);
    const newest = new Map(
      this.#elsewhere.filter(({ lastSeen }) => lastSeen.getTime() >= oldest).map((row) => [row.instance, row]),
    );
    for (const row of this.#rows()) {
      const other = newest.get(row.instance);
      if (other === undefined || other.lastSeen <= row.lastSeen) newest.set(row.instance, row);
    }
    return [...newest.values()].map(({ instance, name, trusted }) => ({
      ...{ kind: "identity", name: `${name} (instance ${instance.slice(0, 8)})`, follows: ["spiffe"] },
      report: trusted === null ? null : { trusted: { spiffe: trusted }, certificateAuthority: "" },
    }));
  }

  /** Those that watch here now. */
  own(): readonly FollowerRow[] {
    return this.#rows().filter(({ instance }) => (this.#known.get(instance)?.streams ?? 0) > 0);
  }

  /** Takes what all auth servers have seen. */
  learn(rows: readonly FollowerRow[]): void {
    this.#elsewhere = rows.filter(({ name }) => !this.#forgotten.has(name));
  }

  /** The names that were dropped since the last call. */
  forgotten(): readonly string[] {
    const names = [...this.#forgotten];
    this.#forgotten.clear();
    return names;
  }

  /** Drops the daemons of an agent identity that was deleted. */
  forget(name: string): void {
    for (const [instance, known] of this.#known) if (known.name === name) this.#known.delete(instance);
    this.#elsewhere = this.#elsewhere.filter((row) => row.name !== name);
    this.#forgotten.add(name);
  }

  #rows(): readonly FollowerRow[] {
    return [...this.#known].map(([instance, { name, streams, lastSeen, report }]) => ({
      ...{ instance, name, lastSeen: streams > 0 ? this.clock.now() : lastSeen },
      trusted: report?.trusted.spiffe ?? null,
    }));
  }
}

/** What auth servers tell each other of a daemon. */
export interface FollowerRow {
  readonly instance: string;
  /** Of the agent identity. */
  readonly name: string;
  /** SPIFFE CA certificates that it hands out; `null` when it has not said. */
  readonly trusted: readonly string[] | null;
  readonly lastSeen: Date;
}

// --- internal ---

interface Following {
  readonly name: string;
  streams: number;
  lastSeen: Date;
  report: TrustReport | null;
}

const MAX_FINGERPRINTS = 8;
const FORGOTTEN_AFTER_MS = 86_400_000;

/** As `X509Certificate.fingerprint256` writes it. */
function written(fingerprint: Buffer): string {
  return fingerprint.toString("hex").toUpperCase().match(/../g)?.join(":") ?? "";
}
