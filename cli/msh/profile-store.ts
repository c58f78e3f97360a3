import { readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { Secret } from "../../core/plugin/secret.js";
import type { HostTrust } from "./host-trust.js";
import { makePrivateFolder, writePrivateFile } from "./private-folder.js";
import { type Credentials, formatProfile, type Profile, parseClusterName, parseProfile } from "./profile.js";

/** Paths of one profile's files, for OpenSSH. */
export interface ProfileFiles {
  readonly folder: string;
  readonly identity: string;
  readonly certificate: string;
  readonly knownHosts: string;
  /** X.509 certificates of the Host CA, PEM. */
  readonly hostCa: string;
  /** OpenSSH configuration that sends everything through the proxy: `ssh -F`. */
  readonly sshConfig: string;
}

/** Logins by cluster, under `~/.mezite/profiles/`; folders have mode 0700 and files 0600. */
export class ProfileStore {
  readonly #profiles: string;
  readonly #current: string;
  readonly #currentSshConfig: string;

  /** @param meziteFolder `~/.mezite` */
  constructor(private readonly meziteFolder: string) {
    this.#profiles = join(meziteFolder, "profiles");
    this.#current = join(meziteFolder, "current");
    this.#currentSshConfig = join(meziteFolder, "ssh_config");
  }

  /** The cluster that was logged in to last; `null` when there is none. */
  current(): Profile | null {
    const cluster = readIfThere(this.#current)?.trim();
    return cluster === undefined || cluster === "" ? null : this.get(parseClusterName(cluster));
  }

  get(cluster: string): Profile | null {
    const file = join(this.#profiles, cluster, "profile.json");
    const text = readIfThere(file);
    return text === null ? null : parseProfile(text, file);
  }

  /** Every profile, by cluster name. */
  all(): readonly Profile[] {
    return listIfThere(this.#profiles)
      .sort()
      .map((cluster) => this.get(cluster))
      .filter((profile) => profile !== null);
  }

  /** `null` when the login has no session token any more. */
  sessionToken(cluster: string): Secret | null {
    const text = readIfThere(join(this.#profiles, cluster, "session"))?.trim() ?? "";
    return text === "" ? null : new Secret(text);
  }

  filesOf(cluster: string): ProfileFiles {
    const folder = join(this.#profiles, cluster);
    return {
      folder,
      identity: join(folder, "id_ed25519"),
      certificate: join(folder, "id_ed25519-cert.pub"),
      knownHosts: join(folder, "known_hosts"),
      hostCa: join(folder, "host-ca.pem"),
      sshConfig: join(folder, "ssh_config"),
    };
  }

  /** Keeps a login and makes it the current one, with `~/.mezite/ssh_config` as its OpenSSH configuration. */
  save(profile: Profile, credentials: Credentials, sshConfig: string): void {
    this.keep(profile, credentials, sshConfig);
    writePrivateFile(this.#currentSshConfig, sshConfig);
    writePrivateFile(this.#current, `${profile.cluster}\n`);
  }

  /** Keeps a login, whichever is the current one. `profile.json` is written last: it vouches for the rest. */
  keep(profile: Profile, credentials: Credentials, sshConfig: string): void {
    const files = this.filesOf(profile.cluster);
    for (const folder of [this.meziteFolder, this.#profiles, files.folder]) makePrivateFolder(folder);
    writePrivateFile(files.identity, credentials.sshPrivateKey.expose());
    writePrivateFile(`${files.identity}.pub`, `${credentials.sshPublicKey}\n`);
    writePrivateFile(files.certificate, `${credentials.sshCertificate}\n`);
    writePrivateFile(files.knownHosts, credentials.knownHosts);
    writePrivateFile(files.sshConfig, sshConfig);
    writePrivateFile(join(files.folder, "tls-key.pem"), credentials.tlsPrivateKeyPem.expose());
    writePrivateFile(join(files.folder, "tls-cert.pem"), credentials.tlsCertificatePem);
    writePrivateFile(files.hostCa, credentials.hostCaPem);
    writePrivateFile(join(files.folder, "session"), `${credentials.sessionToken.expose()}\n`);
    writePrivateFile(join(files.folder, "profile.json"), formatProfile(profile));
  }

  /** Replaces what a login trusts, where it differs. */
  saveTrust(cluster: string, { knownHosts, hostCaPem }: HostTrust): void {
    const files = this.filesOf(cluster);
    if (readIfThere(files.knownHosts) !== knownHosts) writePrivateFile(files.knownHosts, knownHosts);
    if (readIfThere(files.hostCa) !== hostCaPem) writePrivateFile(files.hostCa, hostCaPem);
  }

  /** Removes a login with its keys. */
  remove(cluster: string): void {
    rmSync(join(this.#profiles, cluster), { recursive: true, force: true });
    if (readIfThere(this.#current)?.trim() !== cluster) return;
    for (const file of [this.#current, this.#currentSshConfig]) rmSync(file, { force: true });
  }
}

// --- internal ---

function readIfThere(file: string): string | null {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
    throw error;
  }
}

function listIfThere(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
}
