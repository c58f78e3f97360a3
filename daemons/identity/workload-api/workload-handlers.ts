import { MezError } from "../../../core/errors/error.js";
import type { Logger } from "../../../core/plugin/logger.js";
import type { Clock } from "../../../core/time/clock.js";
import {
  JWTBundlesResponse,
  type JWTSVIDRequest,
  type JWTSVIDResponse,
  type ValidateJWTSVIDRequest,
  type ValidateJWTSVIDResponse,
  X509BundlesResponse,
  X509SVIDResponse,
} from "../../../proto/gen/spiffe/workload.js";
import type { CallerLimits } from "./caller-limits.js";
import type { ChangeSignal } from "./change-signal.js";
import type { JwtSvids } from "./jwt-svids.js";
import { matchesSelectors, needsDigest, type UnixFacts } from "./selectors.js";
import type { Workload } from "./workload.js";
import type { WorkloadDirectory, WorkloadEntry } from "./workload-entry.js";
import type { X509Svid, X509Svids } from "./x509-svids.js";

export interface WorkloadHandlersParts {
  readonly watch: { readonly directory: WorkloadDirectory };
  readonly changes: ChangeSignal;
  readonly x509: X509Svids;
  readonly jwt: JwtSvids;
  readonly limits: CallerLimits;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Who calls, and until when. */
export interface WorkloadCall {
  readonly workload: Workload;
  readonly signal: AbortSignal;
}

/**
 * The methods of the SPIFFE Workload API. Whatever is handed out, the caller is attested right before; one that no entry
 * is for gets `ACCESS_DENIED`, also in the middle of a stream.
 * @see https://github.com/spiffe/spiffe/blob/main/standards/SPIFFE_Workload_API.md
 */
export class WorkloadHandlers {
  #hasWarned = false;

  constructor(private readonly parts: WorkloadHandlersParts) {}

  fetchX509Svid(_request: unknown, call: WorkloadCall): AsyncIterable<X509SVIDResponse> {
    return this.#stream(
      call,
      X509SVIDResponse,
      async ({ entries, facts, directory }) => {
        const svids = await this.parts.x509.of(entries, facts, directory.bundle);
        // Issuing took time: what is handed out is decided by what counts now.
        const now = await this.#entitled(call);
        const left = svids.filter(({ entry }) => now.entries.some(({ name, revision }) => sameEntry(entry, name, revision)));
        if (left.length === 0) throw new MezError("UNAVAILABLE", "the workload identities changed meanwhile; ask again");
        const bundle = Buffer.concat(now.directory.bundle.x509Authorities);
        return { svids: left.map((svid) => toMessage(svid, bundle)), crl: [], federatedBundles: {} };
      },
      (entries) => this.parts.x509.dueInMs(entries),
    );
  }

  fetchX509Bundles(_request: unknown, call: WorkloadCall): AsyncIterable<X509BundlesResponse> {
    return this.#stream(call, X509BundlesResponse, async ({ directory: { trustDomainId, bundle } }) => ({
      crl: [],
      bundles: { [trustDomainId]: Buffer.concat(bundle.x509Authorities) },
    }));
  }

  fetchJwtBundles(_request: unknown, call: WorkloadCall): AsyncIterable<JWTBundlesResponse> {
    return this.#stream(call, JWTBundlesResponse, async ({ directory: { trustDomainId, bundle } }) => ({
      bundles: { [trustDomainId]: Buffer.from(bundle.jwksJson, "utf8") },
    }));
  }

  async fetchJwtSvid({ audience, spiffeId }: JWTSVIDRequest, call: WorkloadCall): Promise<JWTSVIDResponse> {
    const audiences = parseAudiences(audience);
    const { entries, facts, directory } = await this.#entitled(call);
    const wanted = entries.filter((entry) => spiffeId === "" || entry.spiffeId === spiffeId);
    if (wanted.length === 0)
      throw new MezError("ACCESS_DENIED", `this process has no workload identity ${spiffeId.slice(0, 200)}`);
    const { jwt, limits } = this.parts;
    for (const entry of wanted) if (!jwt.isAtHand(entry, audiences, directory.bundle)) limits.admitOrder(call.workload);
    const tokens = await Promise.all(wanted.map((entry) => jwt.of(entry, audiences, facts, directory.bundle)));
    const now = await this.#entitled(call);
    const svids = wanted.flatMap((entry, index) => {
      const { spiffeId: id, token } = tokens[index] as (typeof tokens)[number];
      const isStill = now.entries.some(({ name, revision }) => sameEntry(entry, name, revision));
      return isStill ? [{ spiffeId: id, svid: token, hint: entry.hint }] : [];
    });
    if (svids.length === 0) throw new MezError("UNAVAILABLE", "the workload identities changed meanwhile; ask again");
    return { svids };
  }

  async validateJwtSvid({ audience, svid }: ValidateJWTSVIDRequest, call: WorkloadCall): Promise<ValidateJWTSVIDResponse> {
    const { directory } = await this.#entitled(call);
    const { validateJwtSvid } = await import("./jwt-validation.js");
    return validateJwtSvid(svid, audience, directory, this.parts.clock);
  }

  /** A message at first, and another whenever it differs from the one before. */
  async *#stream<Message>(
    call: WorkloadCall,
    codec: { encode(message: Message): { finish(): Uint8Array } },
    compose: (entitled: Entitled) => Promise<Message>,
    dueInMs: (entries: readonly WorkloadEntry[]) => number = () => ATTEST_AGAIN_MS,
  ): AsyncIterable<Message> {
    const { changes } = this.parts;
    let last = Buffer.alloc(0);
    while (!call.signal.aborted) {
      const { version } = changes;
      const entitled = await this.#entitled(call);
      const message = await compose(entitled);
      const bytes = Buffer.from(codec.encode(message).finish());
      if (!bytes.equals(last)) yield message;
      last = bytes;
      await changes.after(version, Math.min(ATTEST_AGAIN_MS, Math.max(MIN_WAIT_MS, dueInMs(entitled.entries))), call.signal);
    }
  }

  /** @throws {MezError} `ACCESS_DENIED` when no entry is for the caller */
  async #entitled({ workload }: WorkloadCall): Promise<Entitled> {
    const { directory } = this.parts.watch;
    const first = await workload.attest(false);
    const wantsDigest = directory.entries.some(({ selectors }) => needsDigest(selectors, first));
    const facts = wantsDigest ? await workload.attest(true) : first;
    // Hashing took time.
    const current = this.parts.watch.directory;
    const entries = current.entries.filter(({ selectors }) => matchesSelectors(selectors, facts));
    if (entries.length > 0) return { entries, facts, directory: current };
    this.#tellRefusal(facts, current);
    throw new MezError("ACCESS_DENIED", "no workload identity is for this process");
  }

  #tellRefusal(facts: UnixFacts, { entries }: WorkloadDirectory): void {
    const { limits, logger } = this.parts;
    const { pid, uid, gid, path, isProgramVisible } = facts;
    if (limits.admitLogLine(facts.uid)) logger.info("no workload identity is for this process", { pid, uid, gid, path });
    const asksProgram = entries.some(({ selectors: { paths, sha256 } }) => paths.length + sha256.length > 0);
    if (isProgramVisible || !asksProgram || this.#hasWarned) return;
    this.#hasWarned = true;
    logger.warn(
      "cannot see the programs of other users, so no path and no digest matches them; run as root or with CAP_SYS_PTRACE",
    );
  }
}

// --- internal ---

interface Entitled {
  /** At least one. */
  readonly entries: readonly WorkloadEntry[];
  readonly facts: UnixFacts;
  readonly directory: WorkloadDirectory;
}

const ATTEST_AGAIN_MS = 60_000;
const MIN_WAIT_MS = 100;
const MAX_AUDIENCES = 16;
const MAX_AUDIENCE_CHARACTERS = 255;

function parseAudiences(audiences: readonly string[]): readonly string[] {
  if (audiences.length === 0 || audiences.length > MAX_AUDIENCES)
    throw new MezError("INVALID_ARGUMENT", `${audiences.length} audiences are given; give 1 to ${MAX_AUDIENCES}`);
  if (audiences.some((audience) => audience === "" || audience.length > MAX_AUDIENCE_CHARACTERS))
    throw new MezError("INVALID_ARGUMENT", `an audience must have 1 to ${MAX_AUDIENCE_CHARACTERS} characters`);
  return audiences;
}

function sameEntry(entry: WorkloadEntry, name: string, revision: string): boolean {
  return entry.name === name && entry.revision === revision;
}

function toMessage(
  { entry, spiffeId, certificateChain, privateKey }: X509Svid,
  bundle: Buffer,
): X509SVIDResponse["svids"][number] {
  const x509SvidKey = privateKey.export({ format: "der", type: "pkcs8" });
  return { spiffeId, x509Svid: certificateChain, x509SvidKey, bundle, hint: entry.hint };
}
