import { statSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { MezError } from "../../core/errors/error.js";
import { systemReason } from "../../core/errors/system-reason.js";
import { formatSshConfig } from "./openssh-config.js";
import { writePrivateFileAt } from "./private-folder.js";
import type { Credentials, Profile } from "./profile.js";

/**
 * Writes an identity that ssh can use without msh: key, certificate, known hosts and a configuration.
 * @param out A folder when it ends in `/` or is one: then `id_ed25519` …, else the key's file name: `deploy`,
 *   `deploy-cert.pub`, `deploy_known_hosts`, `deploy_ssh_config`.
 * @returns The paths written.
 * @throws {MezError} `IDENTITY_UNWRITABLE`
 */
export function writeIdentity(out: string, profile: Profile, credentials: Credentials): readonly string[] {
  const paths = pathsFor(out);
  const contents: readonly (readonly [string, string])[] = [
    [paths.identity, credentials.sshPrivateKey.expose()],
    [paths.certificate, `${credentials.sshCertificate}\n`],
    [paths.knownHosts, credentials.knownHosts],
    [paths.config, formatSshConfig(profile, { ...paths, folder: null }, "everything")],
  ];
  for (const [path, content] of contents) {
    try {
      writePrivateFileAt(path, content);
    } catch (cause) {
      throw new MezError("IDENTITY_UNWRITABLE", `${path} cannot be written: ${systemReason(cause)}`, { cause });
    }
  }
  return contents.map(([path]) => path);
}

// --- internal ---

function pathsFor(out: string): { identity: string; certificate: string; knownHosts: string; config: string } {
  const isFolder = out.endsWith("/") || statSync(out, { throwIfNoEntry: false })?.isDirectory() === true;
  const identity = resolve(isFolder ? join(out, "id_ed25519") : out);
  const beside = (name: string): string => (isFolder ? join(dirname(identity), name) : `${identity}_${name}`);
  return { identity, certificate: `${identity}-cert.pub`, knownHosts: beside("known_hosts"), config: beside("ssh_config") };
}
