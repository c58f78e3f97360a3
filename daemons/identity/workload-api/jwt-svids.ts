import { MezError } from "../../../core/errors/error.js";
import type { UnixFacts } from "./selectors.js";
import type { TrustBundle, WorkloadDirectory, WorkloadEntry } from "./workload-entry.js";
import type { IssuedJwtSvid } from "./workload-issuer.js";
import { asFailure, keyOf, type SvidParts } from "./x509-svids.js";

/** JWT-SVIDs by entry and set of audiences. One is handed out again until half of its life is over. */
export class JwtSvids {
  readonly #held = new Map<string, HeldJwt>();
  readonly #ordered = new Map<string, Promise<HeldJwt>>();

  constructor(private readonly parts: SvidParts) {}

  /** Whether the next request for it goes to the auth service. */
  isAtHand(entry: WorkloadEntry, audiences: readonly string[], bundle: TrustBundle): boolean {
    const held = this.#held.get(jwtKeyOf(entry, audiences));
    return held !== undefined && this.#isTrusted(held, bundle) && !this.#isDue(held);
  }

  /**
   * One that is good now; from the second half of its life only while the auth service is out of reach.
   * @param facts Of the program that asks.
   * @throws {MezError} `UNAVAILABLE`, `ACCESS_DENIED`, `NOT_FOUND`
   */
  async of(entry: WorkloadEntry, audiences: readonly string[], facts: UnixFacts, bundle: TrustBundle): Promise<IssuedJwtSvid> {
    const key = jwtKeyOf(entry, audiences);
    const held = this.#held.get(key);
    if (held !== undefined && this.#isTrusted(held, bundle) && !this.#isDue(held)) return held;
    const order = this.#ordered.get(key) ?? this.#order(key, entry, audiences, facts);
    this.#ordered.set(key, order);
    try {
      return await order;
    } catch (error) {
      const failure = asFailure(error);
      if (held !== undefined && failure.kind === "unavailable" && this.#isTrusted(held, bundle) && this.#isAlive(held))
        return held;
      throw failure;
    }
  }

  /** Forgets what may not be handed out any more; `null` for everything. */
  keep(directory: WorkloadDirectory | null): void {
    const kept = new Set(directory?.entries.map(keyOf));
    for (const [key, { entryKey }] of this.#held) if (!kept.has(entryKey)) this.#held.delete(key);
  }

  async #order(key: string, entry: WorkloadEntry, audiences: readonly string[], facts: UnixFacts): Promise<HeldJwt> {
    try {
      const issued = await this.parts.issuer.issueJwt({ entry, facts }, audiences);
      const now = this.parts.clock.now().getTime();
      const held = {
        ...issued,
        entryKey: keyOf(entry),
        keyId: keyIdOf(issued.token),
        renewAt: now + (issued.expiresAt.getTime() - now) / 2,
      };
      const [oldest] = this.#held.keys();
      if (this.#held.size >= MAX_HELD && oldest !== undefined) this.#held.delete(oldest);
      this.#held.delete(key);
      this.#held.set(key, held);
      return held;
    } finally {
      this.#ordered.delete(key);
    }
  }

  #isDue({ renewAt }: HeldJwt): boolean {
    return renewAt <= this.parts.clock.now().getTime();
  }

  #isAlive({ expiresAt }: HeldJwt): boolean {
    return expiresAt.getTime() > this.parts.clock.now().getTime() + MIN_LIFE_MS;
  }

  /** A key that is trusted no more makes its tokens worthless at once. */
  #isTrusted({ keyId }: HeldJwt, { jwtKeyIds }: TrustBundle): boolean {
    return jwtKeyIds.includes(keyId);
  }
}

// --- internal ---

interface HeldJwt extends IssuedJwtSvid {
  readonly entryKey: string;
  readonly keyId: string;
  readonly renewAt: number;
}

const MAX_HELD = 1024;
const MIN_LIFE_MS = 5_000;

function jwtKeyOf(entry: WorkloadEntry, audiences: readonly string[]): string {
  return `${keyOf(entry)} ${JSON.stringify([...new Set(audiences)].sort())}`;
}

function keyIdOf(token: string): string {
  try {
    const { kid } = JSON.parse(Buffer.from(token.split(".")[0] ?? "", "base64url").toString("utf8")) as { kid?: unknown };
    if (typeof kid === "string") return kid;
  } catch {}
  throw new MezError("INTERNAL", "the auth service sent a JWT-SVID that names no key");
}
