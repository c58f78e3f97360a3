import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";

/** Programs of the newer OpenSSH client that `npm test` keeps in the cache folder beside the system's. */
export type NewOpensshProgram = "ssh" | "scp" | "sftp" | "ssh-keygen" | "ssh-keyscan" | "ssh-agent" | "ssh-add";

/**
 * Options for a test that needs OpenSSH 10.1 or later: `test("…", needsNewOpenssh(), () => …)`. Skips with the reason where
 * it is missing; with `CI=true` the test runs, and `newOpenssh` fails it.
 */
export function needsNewOpenssh(): { readonly skip: string | false } {
  return { skip: existsSync(path("ssh")) || process.env.CI === "true" ? false : reasonMissing() };
}

/**
 * The absolute path of a program of OpenSSH 10.1 or later; started like any other, also by `ProxyJump` and by scp.
 * @throws {Error} when it is not in the cache.
 */
export function newOpenssh(program: NewOpensshProgram): string {
  if (!existsSync(path(program))) throw new Error(reasonMissing());
  return path(program);
}

/** Version of an `ssh`, e.g. `[10, 1]`. */
export function opensshVersion(ssh: string): readonly [major: number, minor: number] {
  const { stderr } = spawnSync(ssh, ["-V"], { encoding: "utf8" });
  const version = /OpenSSH_(\d+)\.(\d+)/.exec(stderr);
  if (!version) throw new Error(`${ssh} -V printed no version: ${stderr}`);
  return [Number(version[1]), Number(version[2])];
}

// --- internal ---

// The folder that openssh-sid.mjs fills.
function path(program: NewOpensshProgram): string {
  const cache = process.env.XDG_CACHE_HOME || join(homedir(), ".cache");
  return join(cache, "mezite-peers", `openssh-sid-${process.arch}`, "bin", program);
}

function reasonMissing(): string {
  const told = JSON.parse(process.env.MEZITE_MISSING_PEERS ?? "{}") as Readonly<Record<string, string>>;
  return told["openssh-new"] ?? 'OpenSSH 10.1 or later is not in the cache; "npm test" fetches it on Debian';
}
