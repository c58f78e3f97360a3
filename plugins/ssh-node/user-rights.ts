import { existsSync } from "node:fs";
import { MezError } from "../../core/errors/error.js";
import type { OsAccount } from "./os-account.js";

/** Words in front of a command that make it run with an account's uid, gid and groups; empty when we have them already. */
export function rightsPrefix(account: OsAccount): readonly string[] {
  if (!isRoot() || hasOurRights(account)) return [];
  return [setpriv(), `--reuid=${account.uid}`, `--regid=${account.gid}`, `--groups=${account.groups.join(",")}`, "--"];
}

/** Tells whether this process can become any user. */
export function isRoot(): boolean {
  return process.geteuid?.() === 0;
}

/**
 * Checks at start what every session needs later.
 * @throws {MezError} `UNAVAILABLE` naming the program that is missing
 */
export function requireUserTools(): void {
  if (isRoot()) setpriv();
  setsid();
}

/** Path of setsid(1), which gives a program its terminal. */
export function setsid(): string {
  return find("setsid", SETSID);
}

// --- internal ---

const SETPRIV = ["/usr/bin/setpriv", "/bin/setpriv"];
const SETSID = ["/usr/bin/setsid", "/bin/setsid"];
const found = new Map<string, string>();

function setpriv(): string {
  return find("setpriv", SETPRIV);
}

function find(program: string, paths: readonly string[]): string {
  const known = found.get(program) ?? paths.find((path) => existsSync(path));
  if (known === undefined) throw new MezError("UNAVAILABLE", `a node needs ${program} of util-linux in ${paths[0]}`);
  found.set(program, known);
  return known;
}

function hasOurRights(account: OsAccount): boolean {
  const ours = new Set([process.getgid?.(), ...(process.getgroups?.() ?? [])]);
  return (
    account.uid === process.getuid?.() &&
    account.gid === process.getgid?.() &&
    account.groups.length === ours.size &&
    account.groups.every((group) => ours.has(group))
  );
}
