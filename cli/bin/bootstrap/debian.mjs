import { spawnSync } from "node:child_process";
import { existsSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { step } from "./run.mjs";

const POLICY = "/usr/sbin/policy-rc.d";

/**
 * Installs Debian packages without starting the daemons in them.
 * @returns null when it worked, else why not.
 */
export function installDebianPackages(packages) {
  if (!existsSync("/etc/debian_version")) return "this is not Debian";
  if (process.getuid?.() !== 0) return `run as root: apt-get install ${packages.join(" ")}`;
  return step(`installing ${packages.join(", ")}`, () =>
    withoutDaemonStarts(
      () => aptGet(["update", "-qq"]) ?? aptGet(["install", "-y", "-qq", "--no-install-recommends", ...packages]),
    ),
  );
}

/**
 * Runs apt-get without questions.
 * @returns null when it worked, else the last line of what it said.
 */
export function aptGet(args) {
  const result = spawnSync("apt-get", args, {
    stdio: ["ignore", "ignore", "pipe"],
    encoding: "utf8",
    env: { ...process.env, DEBIAN_FRONTEND: "noninteractive", LC_ALL: "C" },
  });
  if (result.status === 0) return null;
  const said = (result.stderr ?? "").trim().split("\n").at(-1);
  return `apt-get ${args.find((argument) => /^[a-z]/.test(argument)) ?? ""}: ${said || result.error?.message || `exit code ${result.status}`}`;
}

// --- internal ---

/** Debian asks this program before it starts a daemon; exit code 101 means no. */
function withoutDaemonStarts(action) {
  const saved = `${POLICY}.mezite-saved`;
  const hadPolicy = existsSync(POLICY);
  if (hadPolicy) renameSync(POLICY, saved);
  writeFileSync(POLICY, "#!/bin/sh\nexit 101\n", { mode: 0o755 });
  try {
    return action();
  } finally {
    rmSync(POLICY, { force: true });
    if (hadPolicy) renameSync(saved, POLICY);
  }
}
