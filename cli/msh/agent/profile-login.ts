import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { isMezError, messageOf } from "../../../core/errors/error.js";
import { parsePrivateKey } from "../../../core/ssh/private-key.js";
import type { Profile } from "../profile.js";
import type { ProfileStore } from "../profile-store.js";
import type { LoginKey, LoginKeys } from "./ssh-agent.js";

export interface ProfileLoginParts {
  readonly store: ProfileStore;
  /** The login to follow. Throws when there is none. */
  readonly choose: () => Profile;
  /** Fetches certificates for new keys and keeps them in the store. */
  readonly renew: (profile: Profile, ttlSeconds: number) => Promise<void>;
  /** Learns in the background which Host CA keys count; never fails. */
  readonly refreshTrust: (profile: Profile) => void;
  /** Lets the person log in again. `null` when they cannot be asked. */
  readonly logIn: ((profile: Profile) => Promise<void>) | null;
  readonly now: () => Date;
  readonly note: (text: string) => void;
}

/**
 * Holds the key and the certificate of a login in memory. Follows what other commands do to it: a new login, another
 * cluster, a logout. Renews the certificate at half its life, for as long as the login lasts. While it is used, it has the Host CA
 * followed as well: programs that come this way know nothing of `msh`.
 */
export class ProfileLogin implements LoginKeys {
  #held: HeldLogin | null = null;
  #replaced: HeldLogin | null = null;
  #renewing: Promise<void> | null = null;
  #timer: NodeJS.Timeout | undefined;
  #told = "";
  #askAgainAt = 0;
  #trustRefreshedAt = new Map<string, number>();
  #ttl = { session: "", seconds: 0 };

  constructor(private readonly parts: ProfileLoginParts) {}

  /** Begins to renew by itself. */
  start(): void {
    this.#follow();
    this.#plan();
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#held = null;
    this.#replaced = null;
  }

  async valid(): Promise<LoginKey | null> {
    this.#follow();
    if (this.#held !== null && this.#held.profile.expiresAt <= this.parts.now()) await this.#renew();
    if (this.#held === null || this.#held.profile.expiresAt <= this.parts.now()) return null;
    this.#refreshTrust(this.#held.profile);
    return this.#held;
  }

  find(blob: Buffer): LoginKey | null {
    this.#follow();
    const holds = (login: HeldLogin | null) => login?.identities.some((identity) => identity.blob.equals(blob)) === true;
    return [this.#held, this.#replaced].find(holds) ?? null;
  }

  /** Takes over what is on disk, when it has changed. */
  #follow(): void {
    let profile: Profile;
    let version: string;
    let savedAt: number;
    try {
      profile = this.parts.choose();
      const { ino, mtimeMs } = statSync(join(this.parts.store.filesOf(profile.cluster).folder, "profile.json"));
      version = `${profile.cluster} ${ino} ${mtimeMs}`;
      savedAt = mtimeMs;
    } catch (error) {
      this.#tell(messageOf(error));
      this.#held = null;
      this.#replaced = null; // after a logout nothing of it is used
      return;
    }
    if (this.#held?.version === version) return;
    const isSameLogin = this.#held?.profile.cluster === profile.cluster && this.#held.profile.user === profile.user;
    this.#replaced = isSameLogin ? this.#held : null;
    this.#held = this.#load(profile, version, savedAt);
    this.#askAgainAt = 0;
    this.#told = "";
    if (this.#timer !== undefined) this.#plan();
  }

  #load(profile: Profile, version: string, savedAt: number): HeldLogin {
    const { store } = this.parts;
    const files = store.filesOf(profile.cluster);
    const key = parsePrivateKey(readFileSync(files.identity, "utf8"));
    const [, base64 = ""] = readFileSync(files.certificate, "utf8").split(" ");
    const blob = Buffer.from(base64, "base64");
    const comment = `${profile.user}@${profile.cluster}`;
    const session = store.sessionToken(profile.cluster)?.expose() ?? "";
    // The first certificate of a login says how long they shall be valid; the last may be cut short by the login's end.
    if (session !== this.#ttl.session) {
      const seconds = Math.ceil((profile.expiresAt.getTime() - savedAt) / 1000);
      this.#ttl = { session, seconds };
    }
    return {
      ...{ profile, version, key },
      identities: [
        { blob, comment },
        { blob: key.publicKeyBlob, comment },
      ],
      renewAt: (savedAt + profile.expiresAt.getTime()) / 2,
    };
  }

  #refreshTrust(profile: Profile): void {
    const now = this.parts.now().getTime();
    if (Math.abs(now - (this.#trustRefreshedAt.get(profile.cluster) ?? Number.NEGATIVE_INFINITY)) < REFRESH_TRUST_EVERY_MS)
      return;
    this.#trustRefreshedAt.set(profile.cluster, now);
    this.parts.refreshTrust(profile);
  }

  #plan(failures = 0): void {
    clearTimeout(this.#timer);
    const now = this.parts.now().getTime();
    const due = this.#held === null ? now + LOOK_EVERY_MS : Math.max(this.#held.renewAt, now) + waitAfter(failures);
    this.#timer = setTimeout(() => void this.#tick(failures), Math.min(Math.max(due - now, MIN_WAIT_MS), LOOK_EVERY_MS));
    this.#timer.unref();
  }

  async #tick(failures: number): Promise<void> {
    this.#follow();
    const held = this.#held;
    if (held === null || held.renewAt > this.parts.now().getTime()) return this.#plan();
    await this.#renew(false);
    this.#plan(this.#held?.version === held.version ? failures + 1 : 0);
  }

  /** One at a time; whoever comes meanwhile waits for the same. Never rejects. */
  #renew(mayAsk = true): Promise<void> {
    this.#renewing ??= this.#renewOnce(mayAsk).finally(() => {
      this.#renewing = null;
    });
    return this.#renewing;
  }

  async #renewOnce(mayAsk: boolean): Promise<void> {
    const { logIn, now } = this.parts;
    const profile = this.#held?.profile;
    if (profile === undefined) return;
    try {
      if (await this.#hasRenewed(profile)) return this.#follow();
      if (mayAsk && logIn !== null && now().getTime() >= this.#askAgainAt) {
        this.#askAgainAt = now().getTime() + ASK_AGAIN_MS;
        await logIn(profile);
      } else if (mayAsk) this.#tell(`the login of ${profile.user} on cluster ${profile.cluster} has ended; run "msh login"`);
      this.#follow();
    } catch (error) {
      this.#tell(`the certificate of ${profile.user} could not be renewed: ${messageOf(error)}`);
    }
  }

  /** `false` when the login has ended, by the clock or by the word of the auth service. */
  async #hasRenewed(profile: Profile): Promise<boolean> {
    const { renew, now } = this.parts;
    if (profile.sessionExpiresAt.getTime() - now().getTime() < LAST_MS) return false;
    try {
      await renew(profile, this.#ttl.seconds);
      return true;
    } catch (error) {
      if (isMezError(error, "UNAUTHENTICATED")) return false;
      throw error;
    }
  }

  /** Once, until something changes. */
  #tell(reason: string): void {
    if (reason === this.#told) return;
    this.#told = reason;
    this.parts.note(reason);
  }
}

// --- internal ---

interface HeldLogin extends LoginKey {
  readonly profile: Profile;
  /** Changes with the files. */
  readonly version: string;
  /** Milliseconds of the clock. */
  readonly renewAt: number;
}

/** How often the store is looked at without being asked: a machine may have slept. */
const LOOK_EVERY_MS = 30_000;
const MIN_WAIT_MS = 1000;
const REFRESH_TRUST_EVERY_MS = 600_000;
const ASK_AGAIN_MS = 30_000;
/** A certificate for what is left of a login is over before it is used. */
const LAST_MS = 2_000;

function waitAfter(failures: number): number {
  return failures === 0 ? 0 : Math.min(2 ** failures * 1000, 300_000) * (0.5 + Math.random() / 2);
}
