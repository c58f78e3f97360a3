import { lstat, realpath, stat } from "node:fs/promises";
import { dirname, isAbsolute } from "node:path";
import { MezError } from "../../../core/errors/error.js";
import { systemReason } from "../../../core/errors/system-reason.js";

/**
 * Checks the file of a PKCS #11 module, which is loaded into this process: a plain file that belongs to root or to us, in
 * folders of which the same is true, and that nobody else can write.
 * @returns Its real path.
 * @throws {MezError} `KEY_BACKEND_REFUSED`
 */
export async function checkModuleFile(path: string): Promise<string> {
  if (!isAbsolute(path)) throw refused(path, "is not an absolute path");
  const real = await realpath(path).catch((error: unknown) => {
    throw refused(path, `cannot be used: ${systemReason(error)}`);
  });
  if (!(await stat(real)).isFile()) throw refused(real, "is not a file");
  const user = process.getuid?.();
  if (user === undefined) return real; // Windows has neither owner ids nor modes
  for (let place = real; ; place = dirname(place)) {
    const { uid, mode } = await lstat(place);
    if (uid !== 0 && uid !== user) throw refused(real, `is not to be trusted: ${place} belongs to user id ${uid}`);
    const isShared = (mode & STICKY) !== 0 && place !== real; // as /tmp: others cannot replace what is ours in there
    if ((mode & 0o022) !== 0 && !isShared) throw refused(real, `is not to be trusted: others can write ${place}`);
    if (place === dirname(place)) return real;
  }
}

// --- internal ---

const STICKY = 0o1000;

function refused(path: string, why: string): MezError {
  return new MezError("KEY_BACKEND_REFUSED", `plugins.keys.pkcs11.config.module: ${path} ${why}`);
}
