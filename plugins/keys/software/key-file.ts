import { randomBytes, randomUUID } from "node:crypto";
import { constants, type FileHandle, link, open, unlink } from "node:fs/promises";
import { dirname } from "node:path";
import { MezError } from "../../../core/errors/error.js";

const KEY_BYTES = 32;

/**
 * Reads the key file: 64 hexadecimal digits and a line feed.
 * @returns 32 bytes; `null` when there is no such file.
 * @throws {MezError} `KEY_FILE_INVALID` when others may read it, it belongs to another user, or holds something else.
 */
export async function readKeyFile(path: string): Promise<Buffer | null> {
  const file = await openFile(path);
  if (file === null) return null;
  try {
    await refuseUnlessPrivate(file, path);
    const text = await file.readFile("latin1");
    if (!/^[0-9a-f]{64}\n?$/.test(text))
      throw new MezError("KEY_FILE_INVALID", `key file ${path} is damaged; restore it from a backup`);
    return Buffer.from(text.trimEnd(), "hex");
  } finally {
    await file.close();
  }
}

/** Makes the key file with random bytes and mode 0600, unless there is one; returns what it holds. Safe when two do it at once. */
export async function readOrCreateKeyFile(path: string): Promise<Buffer> {
  const existing = await readKeyFile(path);
  if (existing !== null) return existing;
  const draft = `${path}.${randomUUID()}`;
  try {
    const file = await open(draft, "wx", 0o600);
    try {
      await file.writeFile(`${randomBytes(KEY_BYTES).toString("hex")}\n`);
      await file.sync();
    } finally {
      await file.close();
    }
    // A link appears whole or not at all, and never replaces the file of another process.
    await link(draft, path).catch(unlessExists);
  } catch (cause) {
    throw new MezError("KEY_FILE_INVALID", `key file ${path} cannot be written`, { cause });
  } finally {
    await unlink(draft).catch(() => undefined);
  }
  await syncFolder(dirname(path));
  const created = await readKeyFile(path);
  if (created === null) throw new MezError("KEY_FILE_INVALID", `key file ${path} disappeared while it was made`);
  return created;
}

// --- internal ---

async function openFile(path: string): Promise<FileHandle | null> {
  try {
    return await open(path, constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0));
  } catch (cause) {
    if (codeOf(cause) === "ENOENT") return null;
    throw new MezError(
      "KEY_FILE_INVALID",
      `key file ${path} cannot be read; it must be a plain file of the user that runs mezd`,
      { cause },
    );
  }
}

async function refuseUnlessPrivate(file: FileHandle, path: string): Promise<void> {
  const facts = await file.stat();
  if (!facts.isFile()) throw new MezError("KEY_FILE_INVALID", `key file ${path} is not a plain file`);
  const user = process.getuid?.();
  if (user === undefined) return; // Windows has neither owner ids nor modes
  if (facts.uid !== user)
    throw new MezError(
      "KEY_FILE_INVALID",
      `key file ${path} belongs to user id ${facts.uid}; it must belong to ${user}, which runs mezd`,
    );
  const mode = facts.mode & 0o777;
  if ((mode & 0o077) !== 0) {
    throw new MezError(
      "KEY_FILE_INVALID",
      `key file ${path} has mode 0${mode.toString(8)}, so that others can use it; it must be 0600`,
    );
  }
}

async function syncFolder(path: string): Promise<void> {
  if (process.platform === "win32") return;
  const folder = await open(path, "r");
  await folder.sync().finally(() => folder.close());
}

function unlessExists(error: unknown): void {
  if (codeOf(error) !== "EEXIST") throw error;
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && "code" in error ? error.code : undefined;
}
