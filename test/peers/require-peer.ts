import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { delimiter, isAbsolute, join } from "node:path";
import peers from "./peers.json" with { type: "json" };

/** A real program that tests run against, from peers.json, e.g. `sshd` or `asciinema`. */
export type PeerName = keyof typeof peers;

/**
 * Options for a test or suite that runs against real programs: `test("…", needsPeers("sshd", "scp"), () => …)`. Where one is
 * missing the test says that it was skipped, and why; with `CI=true` it runs, and `requirePeer` fails it.
 */
export function needsPeers(...names: readonly PeerName[]): { readonly skip: string | false } {
  const reasons = names.map(reasonMissing).filter((reason) => reason !== null);
  return { skip: reasons.length > 0 && process.env.CI !== "true" ? reasons.join("; ") : false };
}

/**
 * The absolute path of a peer.
 * @throws {Error} when it is not installed.
 */
export function requirePeer(name: PeerName): string {
  const path = findPeer(name);
  if (path === null) throw new Error(reasonMissing(name) ?? `peer ${name} is missing`);
  return path;
}

// --- internal ---

type Peer = { readonly command: string } | { readonly npm: string; readonly file: string };

function findPeer(name: PeerName): string | null {
  const peer: Peer = peers[name];
  if ("npm" in peer) return existsSync(cached(peer)) ? cached(peer) : null;
  const { command } = peer;
  if (isAbsolute(command)) return existsSync(command) ? command : null;
  const folders = [...(process.env.PATH ?? "").split(delimiter), "/usr/sbin", "/sbin"];
  return folders.map((folder) => join(folder, command)).find((path) => existsSync(path)) ?? null;
}

/** The place that cli/bin/bootstrap/npm-peers.mjs fills. */
function cached({ npm, file }: { readonly npm: string; readonly file: string }): string {
  const cache = process.env.XDG_CACHE_HOME || join(homedir(), ".cache");
  return join(cache, "mezite-peers", "npm", npm.replaceAll("/", "-"), file);
}

/** Null when the peer is there. `npm test` tells in the environment why it could not install one. */
function reasonMissing(name: PeerName): string | null {
  if (findPeer(name) !== null) return null;
  const told = JSON.parse(process.env.MEZITE_MISSING_PEERS ?? "{}") as Readonly<Record<string, string>>;
  return told[name] ?? `peer ${name} is not installed`;
}
