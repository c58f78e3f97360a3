import { createHmac, timingSafeEqual } from "node:crypto";
import { MezError } from "../errors/error.js";
import { formatPublicKey } from "./authorized-key.js";
import { parsePublicKey, type SshPublicKey } from "./public-key.js";

/** One line of a `known_hosts` file. */
export interface KnownHost {
  readonly marker: "cert-authority" | "revoked" | null;
  /** Patterns as written: names with `*` and `?`, `!` for "not", `[name]:port`, or one hashed name. */
  readonly patterns: readonly string[];
  readonly publicKey: SshPublicKey;
}

/** Writes `@cert-authority * ssh-ed25519 AAAA… comment`: every host with a certificate of this CA is trusted. */
export function formatCertAuthority(authorityBlob: Buffer, patterns: readonly string[] = ["*"], comment = ""): string {
  return `@cert-authority ${patterns.join(",")} ${formatPublicKey(authorityBlob, comment)}`;
}

/**
 * Reads a `known_hosts` file. Comments and empty lines are passed over, and so are keys of types that we do not use.
 * @throws {MezError} `SSH_MALFORMED` naming the line
 * @see sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT"
 */
export function parseKnownHosts(text: string): readonly KnownHost[] {
  const hosts: KnownHost[] = [];
  for (const [index, line] of text.split("\n").entries()) {
    if (/^\s*(#|$)/.test(line)) continue;
    const host = parseLine(line.trim(), index + 1);
    if (host !== null) hosts.push(host);
  }
  return hosts;
}

/**
 * What the file says about a host.
 * @returns The CA keys and plain keys (wire form) that are trusted for it, without those marked `@revoked`.
 */
export function trustedKeysFor(
  hosts: readonly KnownHost[],
  name: string,
  port = 22,
): { readonly authorities: readonly Buffer[]; readonly keys: readonly Buffer[] } {
  const target = port === 22 ? name : `[${name}]:${port}`;
  const matching = hosts.filter((host) => matchesPatterns(host.patterns, target));
  const revoked = matching.filter((host) => host.marker === "revoked").map((host) => host.publicKey.blob);
  const blobs = (marker: KnownHost["marker"]) =>
    matching
      .filter((host) => host.marker === marker)
      .map((host) => host.publicKey.blob)
      .filter((blob) => !revoked.some((other) => other.equals(blob)));
  return { authorities: blobs("cert-authority"), keys: blobs(null) };
}

// --- internal ---

function parseLine(line: string, number: number): KnownHost | null {
  const fields = line.split(/\s+/);
  const marker = fields[0]?.startsWith("@") ? fields.shift() : undefined;
  const [patterns = "", , base64 = ""] = fields;
  if ((marker !== undefined && marker !== "@cert-authority" && marker !== "@revoked") || base64 === "") {
    throw new MezError("SSH_MALFORMED", `line ${number} of the known hosts is not valid`);
  }
  try {
    const publicKey = parsePublicKey(Buffer.from(base64, "base64"));
    return {
      marker: marker === "@revoked" ? "revoked" : marker === "@cert-authority" ? "cert-authority" : null,
      patterns: patterns.split(","),
      publicKey,
    };
  } catch (cause) {
    if (cause instanceof MezError && cause.code === "SSH_KEY_UNSUPPORTED") return null;
    throw new MezError("SSH_MALFORMED", `line ${number} of the known hosts is not valid`, { cause });
  }
}

function matchesPatterns(patterns: readonly string[], target: string): boolean {
  let isMatch = false;
  for (const pattern of patterns) {
    const isNegated = pattern.startsWith("!");
    if (!matchesPattern(isNegated ? pattern.slice(1) : pattern, target)) continue;
    if (isNegated) return false;
    isMatch = true;
  }
  return isMatch;
}

function matchesPattern(pattern: string, target: string): boolean {
  if (pattern.startsWith("|1|")) return matchesHash(pattern, target);
  const source = pattern
    .toLowerCase()
    .replace(/[.+^${}()|[\]\\]/g, "\\$&")
    .replaceAll("*", ".*")
    .replaceAll("?", ".");
  return new RegExp(`^${source}$`).test(target.toLowerCase());
}

function matchesHash(pattern: string, target: string): boolean {
  const [, , salt = "", hash = ""] = pattern.split("|");
  const expected = Buffer.from(hash, "base64");
  const actual = createHmac("sha1", Buffer.from(salt, "base64")).update(target).digest(); // fixed by OpenSSH's format, no secret behind it
  return expected.length === actual.length && timingSafeEqual(expected, actual);
}
