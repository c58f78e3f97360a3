import { randomUUID } from "node:crypto";
import { chmodSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { isMezError, MezError, messageOf } from "../../core/errors/error.js";

/** What a machine keeps of its enrolment for one person at one cluster. */
export interface DeviceFile {
  /** Id that the cluster gave to the device. */
  readonly id: string;
  readonly clusterName: string;
  readonly userName: string;
  readonly key: StoredDeviceKey;
}

export type StoredDeviceKey =
  | {
      readonly kind: "file";
      /** PKCS #8, PEM. Whoever copies it has the device. */
      readonly privateKeyPem: string;
    }
  | {
      readonly kind: "tpm";
      /** TPM2B_PUBLIC and TPM2B_PRIVATE in base64; worth nothing without the TPM that made them. */
      readonly public: string;
      readonly private: string;
    };

/** Where it is: `~/.mezite/devices/<cluster>/<user>.json`. @throws {MezError} `INVALID_DOCUMENT` for names that are no file names */
export function deviceFilePath(home: string, clusterName: string, userName: string): string {
  for (const name of [clusterName, userName])
    if (!FILE_NAME.test(name))
      throw new MezError("INVALID_DOCUMENT", "the server told a name that cannot be one of a cluster or user");
  return join(home, ".mezite", "devices", clusterName, `${userName}.json`);
}

/**
 * Reads it; `null` when this machine is not enrolled.
 * @throws {MezError} `DEVICE_KEY_UNUSABLE` for one that is damaged or that others can read
 */
export function readDeviceFile(path: string): DeviceFile | null {
  try {
    if ((statSync(path).mode & 0o077) !== 0)
      throw new MezError("DEVICE_KEY_UNUSABLE", `${path} can be read by others on this machine; chmod 600 it, or enrol again`);
    return parse(readFileSync(path, "utf8"));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
    if (isMezError(error)) throw error;
    throw new MezError("DEVICE_KEY_UNUSABLE", `${path} cannot be used: ${messageOf(error)}; enrol this machine again`, {
      cause: error,
    });
  }
}

/** Writes it whole or not at all, mode 0600. */
export function writeDeviceFile(path: string, file: DeviceFile): void {
  const folder = dirname(path);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  chmodSync(folder, 0o700);
  const fresh = `${path}.${randomUUID()}`;
  try {
    writeFileSync(fresh, `${JSON.stringify(file, null, 2)}\n`, { mode: 0o600, flag: "wx", flush: true });
    renameSync(fresh, path);
  } finally {
    rmSync(fresh, { force: true });
  }
}

// --- internal ---

const FILE_NAME = /^[a-z0-9](?:[a-z0-9_@-]|\.(?!\.)){0,63}$/;

function parse(text: string): DeviceFile {
  const { id, clusterName, userName, key } = JSON.parse(text) as Partial<Record<keyof DeviceFile, unknown>>;
  if (typeof id !== "string" || typeof clusterName !== "string" || typeof userName !== "string") throw new Error("it is damaged");
  return { id, clusterName, userName, key: parseKey(key) };
}

function parseKey(key: unknown): StoredDeviceKey {
  const { kind, ...parts } = (key ?? {}) as Readonly<Record<string, unknown>>;
  if (kind === "file" && typeof parts.privateKeyPem === "string") return { kind, privateKeyPem: parts.privateKeyPem };
  if (kind === "tpm" && typeof parts.public === "string" && typeof parts.private === "string")
    return { kind, public: parts.public, private: parts.private };
  throw new Error("it holds no key");
}
