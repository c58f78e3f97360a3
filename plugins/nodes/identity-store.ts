import { chmod, mkdir, open, readFile, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { MezError, messageOf } from "../../core/errors/error.js";
import type { ProcessRole } from "../../core/plugin/contract.js";
import type { HostCredentials } from "../../core/plugin/host-identity.js";
import { Secret } from "../../core/plugin/secret.js";
import { generateHostKeys, type HostKeys, restoreHostKeys } from "./host-keys.js";

/** Where an agent keeps its credentials: `<data directory>/<role>/`, mode 0600, each file replaced in one step. */
export class IdentityStore {
  readonly #current: string;
  readonly #pending: string;

  constructor(
    dataDirectory: string,
    private readonly role: ProcessRole,
  ) {
    this.#current = join(dataDirectory, role, "host-identity.json");
    this.#pending = join(dataDirectory, role, "host-identity.pending.json");
  }

  /** The folder, for messages. */
  get folder(): string {
    return dirname(this.#current);
  }

  /** `null` when the agent has not joined. @throws {MezError} `IDENTITY_UNREADABLE` */
  async load(): Promise<HostCredentials | null> {
    const stored = await read<StoredIdentity>(this.#current);
    if (stored === null) return null;
    return {
      ...{ name: stored.name, id: stored.id, role: this.role, certificatePem: stored.certificatePem, trustPem: stored.trustPem },
      privateKeyPem: new Secret(stored.privateKeyPem),
      sshPrivateKey: new Secret(stored.sshPrivateKey),
      sshCertificate: Buffer.from(stored.sshCertificate, "base64"),
      expiresAt: new Date(stored.expiresAt),
    };
  }

  /** Replaces the credentials as a whole. */
  async save(credentials: HostCredentials): Promise<void> {
    const { name, id, certificatePem, trustPem } = credentials;
    const stored: StoredIdentity = {
      ...{ name, id, certificatePem, trustPem },
      privateKeyPem: credentials.privateKeyPem.expose(),
      sshPrivateKey: credentials.sshPrivateKey.expose(),
      sshCertificate: credentials.sshCertificate.toString("base64"),
      expiresAt: credentials.expiresAt.toISOString(),
    };
    await write(this.#current, stored);
  }

  /** The request was answered, and the answer is stored. */
  async dropPendingKeys(): Promise<void> {
    await rm(this.#pending, { force: true });
  }

  /**
   * Keys for the next request. Stored before they are used, so that after a crash the same request can be made again and
   * gets the answer that was lost.
   */
  async pendingKeys(): Promise<HostKeys> {
    const stored = await read<PendingKeys>(this.#pending);
    if (stored !== null) return restoreHostKeys(new Secret(stored.sshPrivateKey), new Secret(stored.tlsPrivateKeyPem));
    const keys = generateHostKeys();
    await write(this.#pending, {
      sshPrivateKey: keys.sshPrivateKey.expose(),
      tlsPrivateKeyPem: keys.tlsPrivateKeyPem.expose(),
    } satisfies PendingKeys);
    return keys;
  }
}

// --- internal ---

interface StoredIdentity {
  readonly name: string;
  readonly id: string;
  readonly certificatePem: string;
  readonly privateKeyPem: string;
  readonly trustPem: readonly string[];
  readonly sshPrivateKey: string;
  readonly sshCertificate: string;
  readonly expiresAt: string;
}

interface PendingKeys {
  readonly sshPrivateKey: string;
  readonly tlsPrivateKeyPem: string;
}

async function read<T>(path: string): Promise<T | null> {
  try {
    return JSON.parse(await readFile(path, "utf8")) as T;
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") return null;
    throw new MezError("IDENTITY_UNREADABLE", `cannot read the credentials in ${path}: ${messageOf(cause)}`, { cause });
  }
}

async function write(path: string, content: object): Promise<void> {
  const fresh = `${path}.new`;
  try {
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    const file = await open(fresh, "w", 0o600);
    try {
      await chmod(fresh, 0o600);
      await file.writeFile(JSON.stringify(content));
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(fresh, path);
  } catch (cause) {
    throw new MezError("IDENTITY_UNWRITABLE", `cannot store credentials in ${dirname(path)}: ${messageOf(cause)}`, { cause });
  }
}
