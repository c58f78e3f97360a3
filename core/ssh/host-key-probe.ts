import { MezError } from "../errors/error.js";
import { dialSsh } from "./client.js";

/**
 * Looks whether an SSH server shows a key, and leaves without logging in.
 * @param pinnedKey Wire form.
 * @throws {MezError} `SSH_HOST_KEY_REFUSED` naming both fingerprints; `SSH_CONNECTION_FAILED`
 */
export async function verifyHostKey(host: string, port: number, pinnedKey: Buffer): Promise<void> {
  // The credentials are asked for when the host has been believed: that is all that is wanted.
  const believed = new MezError("CANCELLED", "the host was believed");
  const dialled = dialSsh(
    { to: { host, port }, hostTrust: { pinnedKeys: [pinnedKey] }, timeoutMs: TIMEOUT_MS },
    Promise.reject(believed),
  );
  await dialled.catch((error: unknown) => {
    if (error !== believed) throw error;
  });
}

// --- internal ---

const TIMEOUT_MS = 10_000;
