import type { TLSSocket } from "node:tls";
import { MezError } from "../errors/error.js";
import { string, uint32, WireReader } from "../ssh/wire.js";
import { MAX_TRUST_BYTES, type TrustState } from "./host-trust.js";
import { oneLine } from "./one-line.js";

/*
 * The direct route: a person's program logs in to the proxy and names the node inside TLS, and both ends then leave TLS.
 * What follows on the same TCP connection are the bytes of SSH between the person's client and the node.
 *
 *   client  one frame: request
 *   proxy   one frame: answer; after "go" it sends nothing more until a byte without TLS has come from the client
 *
 * A frame is `uint32 length`, then so many bytes. Fields are written as in RFC 4251, 5.
 */

/** ALPN name (RFC 7301) of such a connection. */
export const DIRECT_ALPN = "mezite-direct";

/** Longest frames, without their length. */
export const MAX_DIRECT_REQUEST_BYTES = 16 * 1024;
export const MAX_DIRECT_ANSWER_BYTES = 4 * 1024;

/** What is asked for, and by whom. */
export interface DirectQuestion {
  /** The login name at the proxy, as after `ssh -J`; at most 256 characters. */
  readonly user: string;
  /** The node, as in `ssh login@node`. */
  readonly host: string;
  readonly port: number;
  /** Wire form of the user certificate. */
  readonly certificate: Buffer;
  /** The Host CA keys that the client trusts, from `digestTrust`. */
  readonly trust: Buffer;
}

export interface DirectRequest extends DirectQuestion {
  /** By the certified key over `directBytesToSign`, in the form of RFC 4253, 6.6. */
  readonly signature: Buffer;
}

/** `go`: what follows is the node's; `refused`; `jump`: come through SSH, which can ask for more. */
export type DirectVerdict = "go" | "refused" | "jump";

export interface DirectAnswer {
  readonly verdict: DirectVerdict;
  /**
   * Of the client's copy of the Host CA keys. That is all a proxy says of them: which ones count the client learns from the auth
   * service, so that no proxy decides what people trust.
   */
  readonly trust: TrustState;
  /** One line for the person, of printable characters; may be empty. */
  readonly message: string;
}

/** The 32 bytes that tie a request to its TLS connection: both ends know them, and nobody between two connections. */
export function directExporter(tls: TLSSocket): Buffer {
  return tls.exportKeyingMaterial(EXPORTER_BYTES, EXPORTER_LABEL, Buffer.alloc(0)); // RFC 8446, 7.5
}

/**
 * The bytes that the certified key signs. They are no data of another signature that such keys make: an SSH login begins with
 * a session id, which is as long as a hash, and a file signature with `SSHSIG`.
 * @param exporter From `directExporter`.
 */
export function directBytesToSign(exporter: Buffer, question: DirectQuestion): Buffer {
  return Buffer.concat([string(SIGNED_LABEL), string(exporter), ...questionFields(question)]);
}

/** @returns The content of a frame. @throws {MezError} `INVALID_ARGUMENT` when it is longer than one may be */
export function encodeDirectRequest(request: DirectRequest): Buffer {
  const bytes = Buffer.concat([Buffer.of(VERSION), ...questionFields(request), string(request.signature)]);
  if (bytes.length <= MAX_DIRECT_REQUEST_BYTES) return bytes;
  throw new MezError(
    "INVALID_ARGUMENT",
    `a request of ${bytes.length} bytes is too long; ${MAX_DIRECT_REQUEST_BYTES} are allowed`,
  );
}

/** @throws {MezError} `SSH_MALFORMED`; `INVALID_ARGUMENT` for a version that is not known */
export function decodeDirectRequest(bytes: Buffer): DirectRequest {
  const reader = new WireReader(bytes, "direct request");
  const version = reader.byte();
  if (version !== VERSION)
    throw new MezError("INVALID_ARGUMENT", `version ${version} of the direct route is not known here; it is ${VERSION}`);
  const user = reader.text();
  if (user.length > MAX_USER_CHARACTERS) throw new MezError("SSH_MALFORMED", "the login name of the direct request is too long");
  const [host, port, certificate] = [reader.text(), reader.uint32(), reader.string()];
  const [trust, signature] = [reader.string(), reader.string()];
  reader.end();
  if (trust.length > MAX_TRUST_BYTES) throw new MezError("SSH_MALFORMED", "the direct request names too many keys");
  return { user, host, port, certificate, trust, signature };
}

/** @returns The content of a frame; a message that is too long is cut. */
export function encodeDirectAnswer({ verdict, trust, message }: DirectAnswer): Buffer {
  return Buffer.concat([Buffer.of(VERDICTS.indexOf(verdict), TRUST_STATES.indexOf(trust)), string(oneLine(message))]);
}

/** @throws {MezError} `SSH_MALFORMED` */
export function decodeDirectAnswer(bytes: Buffer): DirectAnswer {
  const reader = new WireReader(bytes, "direct answer");
  const [verdict, trust] = [VERDICTS[reader.byte()], TRUST_STATES[reader.byte()]];
  if (verdict === undefined || trust === undefined)
    throw new MezError("SSH_MALFORMED", "the direct answer is none that is known");
  const message = oneLine(reader.text());
  reader.end();
  return { verdict, trust, message };
}

// --- internal ---

const EXPORTER_LABEL = "EXPORTER-mezite-direct-v1";
const EXPORTER_BYTES = 32;
const VERSION = 1;
/** Of 16 bytes, as no hash is long that SSH takes for a session id. */
const SIGNED_LABEL = "direct-v1@mezite";
/** In the order of their codes. */
const VERDICTS: readonly DirectVerdict[] = ["go", "refused", "jump"];
const TRUST_STATES: readonly TrustState[] = ["current", "outdated", "unusable"];
const MAX_USER_CHARACTERS = 256;

function questionFields({ user, host, port, certificate, trust }: DirectQuestion): readonly Buffer[] {
  return [string(user), string(host), uint32(port), string(certificate), string(trust)];
}
