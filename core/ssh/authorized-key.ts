import { MezError } from "../errors/error.js";
import { parsePublicKey, type SshPublicKey } from "./public-key.js";
import { WireReader } from "./wire.js";

/** One line of an `authorized_keys` file, or of a `.pub` file (then without options). */
export interface AuthorizedKey {
  /** As written, e.g. `restrict,command="uptime"`; empty when there are none. */
  readonly options: string;
  readonly publicKey: SshPublicKey;
  readonly comment: string;
}

/** Writes a public key as `ssh-keygen` does: `ssh-ed25519 AAAA… comment`. */
export function formatPublicKey(blob: Buffer, comment = ""): string {
  const type = new WireReader(blob, "public key").text();
  return `${type} ${blob.toString("base64")}${comment === "" ? "" : ` ${comment}`}`;
}

/**
 * Reads such a line.
 * @throws {MezError} `SSH_MALFORMED`, `SSH_KEY_UNSUPPORTED`
 * @see sshd(8), "AUTHORIZED_KEYS FILE FORMAT"
 */
export function parseAuthorizedKey(line: string): AuthorizedKey {
  const match = LINE.exec(line.trim());
  const [, options = "", type = "", base64 = "", comment = ""] = match ?? [];
  if (!match) throw new MezError("SSH_MALFORMED", 'this is not a public key line; it looks like "ssh-ed25519 AAAA… comment"');
  const publicKey = parsePublicKey(Buffer.from(base64, "base64"));
  if (publicKey.type !== type)
    throw new MezError("SSH_MALFORMED", `the line names key type "${type}", the key is of type ${publicKey.type}`);
  return { options, publicKey, comment };
}

// --- internal ---

/** Options are words, in which blanks and commas may stand between double quotes. */
const LINE =
  /^(?:((?!ssh-|ecdsa-)(?:[^\s"]|"(?:\\"|[^"])*")+)\s+)?((?:ssh-|ecdsa-)[\w@.-]+)\s+([A-Za-z0-9+/]+={0,2})(?:\s+(.*))?$/;
