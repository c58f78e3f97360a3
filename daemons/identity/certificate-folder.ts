import { randomUUID } from "node:crypto";
import { lstat, mkdir, open, readdir, readFile, readlink, rename, rm, symlink } from "node:fs/promises";
import { join } from "node:path";
import { toDiskError } from "../../core/errors/disk-error.js";
import { MezError, messageOf } from "../../core/errors/error.js";
import { type CertificateSet, contentOf, SET_FILES, type SetFacts, type SetFile } from "./certificate-set.js";
import type { Destination } from "./destination.js";
import { generateInstanceKeys, type InstanceKeys, restoreInstanceKeys } from "./instance-keys.js";
import { formatOpensshConfig, type SshProxyAddress } from "./openssh-config.js";

/**
 * The files of an instance. Each set lies in a folder of its own under `.sets`; `current` leads to the newest, and the
 * files of the destination lead into `current`. One rename of that link replaces all of them: a set is there whole or not
 * at all, and stays when the next cannot be written.
 */
export class CertificateFolder {
  /** @param sshProxies Ways to the nodes, for an OpenSSH configuration in each set; empty for none. */
  constructor(
    private readonly destination: Pick<Destination, "path" | "groupId">,
    private readonly sshProxies: readonly SshProxyAddress[] = [],
  ) {}

  /** The set in use, `null` before the first. @throws {MezError} `IDENTITY_UNREADABLE` */
  async load(): Promise<CertificateSet | null> {
    const name = await this.#currentSet();
    if (name === null) return null;
    const read = (file: SetFile | typeof FACTS): Promise<string> => readFile(join(this.#sets, name, file), "utf8");
    try {
      const facts = JSON.parse(await read(FACTS)) as StoredFacts;
      const [sshKey, sshCertificate, x509CertificatePem, x509Key, serial, knownHosts] = await Promise.all(SET_FILES.map(read));
      return {
        ...facts,
        issuedAt: new Date(facts.issuedAt),
        expiresAt: new Date(facts.expiresAt),
        keys: restoreInstanceKeys(sshKey as string, x509Key as string),
        sshCertificate: sshCertificate as string,
        x509CertificatePem: x509CertificatePem as string,
        sshSerial: (serial as string).trim(),
        knownHosts: knownHosts as string,
      };
    } catch (cause) {
      throw new MezError(
        "IDENTITY_UNREADABLE",
        `cannot read the certificates in ${this.destination.path}: ${messageOf(cause)}; empty the folder and bootstrap with a new token`,
        { cause },
      );
    }
  }

  /**
   * Puts a new set in the place of the one in use.
   * @throws {MezError} `STORAGE_FULL`, `STORAGE_UNWRITABLE`: the old set stays; `DESTINATION_UNUSABLE`
   */
  async save(set: CertificateSet): Promise<void> {
    const name = `${String(set.generation).padStart(6, "0")}-${randomUUID().slice(0, 8)}`;
    const folder = join(this.#sets, name);
    try {
      await this.#makeFolder(this.#sets);
      await this.#makeFolder(folder);
      for (const [file, content] of Object.entries(contentOf(set))) await this.#write(join(folder, file), content, true);
      await this.#write(join(folder, FACTS), JSON.stringify(factsOf(set)), false);
      const config = this.#configFor(name);
      if (config !== null) await this.#write(join(folder, SSH_CONFIG), config, true);
      await syncFolder(folder);
      await this.#link();
      await replaceLink(join(this.destination.path, CURRENT), join(".sets", name));
      await syncFolder(this.destination.path);
    } catch (error) {
      if ((await this.#currentSet().catch(() => null)) !== name)
        await rm(folder, { recursive: true, force: true }).catch(() => {});
      throw toDiskError(error, "the new certificates");
    }
  }

  /** Whether the set in use has the OpenSSH configuration that it should have, or none. */
  async isConfigured(): Promise<boolean> {
    const name = await this.#currentSet();
    if (name === null) return true;
    const found = await readFile(join(this.#sets, name, SSH_CONFIG), "utf8").catch(() => null);
    return found === this.#configFor(name);
  }

  /** When the set in use took the place of the one before; `null` before the first. */
  async replacedAt(): Promise<Date | null> {
    return (await lstat(join(this.destination.path, CURRENT)).catch(() => null))?.mtime ?? null;
  }

  /** Names of the sets before the one in use. */
  async replaced(): Promise<readonly string[]> {
    const current = await this.#currentSet();
    return (await readdir(this.#sets).catch(() => [])).filter((name) => name !== current);
  }

  /** Removes sets that were replaced, all of them unless `names` says which. */
  async removeOld(names?: readonly string[]): Promise<void> {
    for (const name of await this.replaced())
      if (names?.includes(name) !== false) await rm(join(this.#sets, name), { recursive: true, force: true });
  }

  /**
   * Keys for the next request: stored before they are sent, so that after a crash the same request is made again and gets
   * the answer that was lost.
   */
  async pendingKeys(): Promise<InstanceKeys> {
    const stored = await this.storedPendingKeys();
    if (stored !== null) return stored;
    const keys = generateInstanceKeys();
    const { sshPrivateKey, x509PrivateKeyPem } = keys;
    const fresh = `${this.#pending}.new`;
    try {
      await this.#write(
        fresh,
        JSON.stringify({ ssh: sshPrivateKey.expose(), x509: x509PrivateKeyPem.expose() } satisfies PendingKeys),
        false,
      );
      await rename(fresh, this.#pending);
      await syncFolder(this.destination.path);
    } catch (error) {
      await rm(fresh, { force: true }).catch(() => {});
      throw toDiskError(error, "the next keys");
    }
    return keys;
  }

  /** Keys of a request that may have been made, `null` when there is none. */
  async storedPendingKeys(): Promise<InstanceKeys | null> {
    try {
      const { ssh, x509 } = JSON.parse(await readFile(this.#pending, "utf8")) as PendingKeys;
      return restoreInstanceKeys(ssh, x509);
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code === "ENOENT") return null;
      throw new MezError("IDENTITY_UNREADABLE", `cannot read the next keys in ${this.#pending}: ${messageOf(cause)}`, { cause });
    }
  }

  /** The request was answered, and the answer is in use. */
  async dropPendingKeys(): Promise<void> {
    await rm(this.#pending, { force: true });
  }

  get #sets(): string {
    return join(this.destination.path, ".sets");
  }

  get #pending(): string {
    return join(this.destination.path, ".pending.json");
  }

  async #currentSet(): Promise<string | null> {
    try {
      return (await readlink(join(this.destination.path, CURRENT))).replace(/^\.sets\//, "");
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code === "ENOENT") return null;
      throw cause;
    }
  }

  /** The names that others read. They lead nowhere until the first set is in use, and then all of them do. */
  async #link(): Promise<void> {
    const config = join(this.destination.path, SSH_CONFIG);
    if (this.sshProxies.length === 0 && (await readlink(config).catch(() => "")) === join(CURRENT, SSH_CONFIG)) await rm(config);
    for (const file of [...SET_FILES, ...(this.sshProxies.length === 0 ? [] : [SSH_CONFIG])]) {
      const path = join(this.destination.path, file);
      const found = await lstat(path).catch(() => null);
      if (found === null) await symlink(join(CURRENT, file), path);
      else if (!found.isSymbolicLink())
        throw new MezError("DESTINATION_UNUSABLE", `${path} is there already and was not made by mezd identity; move it away`);
    }
  }

  #configFor(set: string): string | null {
    const { path } = this.destination;
    if (this.sshProxies.length === 0) return null;
    return formatOpensshConfig(this.sshProxies, join(this.#sets, set), join(path, "ssh_known_hosts"));
  }

  async #makeFolder(path: string): Promise<void> {
    const { groupId } = this.destination;
    await mkdir(path, { recursive: true, mode: 0o700 });
    if (groupId === null) return;
    const folder = await open(path, "r");
    try {
      await folder.chown(process.getuid?.() ?? 0, groupId);
      await folder.chmod(0o750);
    } finally {
      await folder.close();
    }
  }

  async #write(path: string, content: string, forGroup: boolean): Promise<void> {
    const file = await open(path, "w", 0o600);
    try {
      await file.chmod(0o600);
      await file.writeFile(content);
      if (forGroup && this.destination.groupId !== null) {
        await file.chown(process.getuid?.() ?? 0, this.destination.groupId);
        await file.chmod(0o640);
      }
      await file.sync();
    } finally {
      await file.close();
    }
  }
}

// --- internal ---

const CURRENT = "current";
const FACTS = "instance.json";
const SSH_CONFIG = "ssh_config";

type StoredFacts = Omit<SetFacts, "issuedAt" | "expiresAt"> & { readonly issuedAt: string; readonly expiresAt: string };

interface PendingKeys {
  readonly ssh: string;
  readonly x509: string;
}

function factsOf({ identity, instanceId, generation, trustPem, issuedAt, expiresAt, tokenId }: SetFacts): StoredFacts {
  return {
    ...{ identity, instanceId, generation, trustPem, tokenId },
    issuedAt: issuedAt.toISOString(),
    expiresAt: expiresAt.toISOString(),
  };
}

async function replaceLink(path: string, target: string): Promise<void> {
  const fresh = `${path}.new`;
  await rm(fresh, { force: true });
  await symlink(target, fresh);
  await rename(fresh, path);
}

async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, "r");
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
