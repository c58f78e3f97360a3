import { readFileSync } from "node:fs";
import { join } from "node:path";
import { MezError } from "../../../core/errors/error.js";
import { digestTrustFiles } from "../../../core/tunnel/host-trust.js";
import { type Profile, parseProfile } from "../profile.js";
import { keyInFile } from "./key-file.js";

/** A certificate, and who signs with its key. */
export interface CertifiedKey {
  /** Wire form. */
  readonly certificate: Buffer;
  /** In the form of RFC 4253, 6.6; `null` when it is refused. */
  sign(bytes: Buffer): Promise<Buffer | null>;
}

/** Who asks the proxy for a session, and by what the proxy is known. */
export interface DirectLogin {
  /** `~/.mezite/profiles/<cluster>` */
  readonly folder: string;
  readonly profile: Profile;
  /** Host CA certificates, PEM. */
  readonly hostCaPem: string;
  /** All that it trusts, from `digestTrust`. */
  readonly trust: Buffer;
  /** `null` when it cannot be used here, but perhaps by ssh. */
  readonly key: CertifiedKey | null;
}

/**
 * Reads what a login has left in its folder.
 * @param agentSocket Of `msh agent`, when the key is to be used there and not in its file.
 * @throws {MezError} `UNAUTHENTICATED`, `INVALID_DOCUMENT`
 */
export async function readLogin(folder: string, agentSocket: string | undefined, now = new Date()): Promise<DirectLogin> {
  const profile = profileIn(folder);
  // An agent renews it, or has the person log in again.
  if (agentSocket === undefined && profile.expiresAt <= now) {
    const { certificateExpired } = await import("../certificate-expired.js");
    throw certificateExpired(profile, now);
  }
  const hostCaPem = readFileSync(join(folder, "host-ca.pem"), "utf8");
  const trust = digestTrustFiles(knownHostsIn(folder), hostCaPem);
  if (agentSocket === undefined) return { folder, profile, hostCaPem, trust, key: keyInFile(join(folder, "id_ed25519")) };
  const { keyInAgent } = await import("./agent-key.js");
  return { folder, profile, hostCaPem, trust, key: await keyInAgent(agentSocket, `${profile.user}@${profile.cluster}`) };
}

// --- internal ---

/** Without one, ssh knows no node. */
function knownHostsIn(folder: string): string {
  try {
    return readFileSync(join(folder, "known_hosts"), "utf8");
  } catch {
    return "";
  }
}

function profileIn(folder: string): Profile {
  const file = join(folder, "profile.json");
  try {
    return parseProfile(readFileSync(file, "utf8"), file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    throw new MezError("UNAUTHENTICATED", 'you are not logged in; run "msh login"', { detail: file });
  }
}
