import type { IncomingHttpHeaders, OutgoingHttpHeaders } from "node:http2";
import { isIP } from "node:net";
import { MezError } from "../errors/error.js";

/** Where the proxy posts its request for a stream. */
export const STREAM_PATH = "/streams";
/** Name of the node that the stream is for. */
export const NODE_NAME_HEADER = "mezite-node";
/** 32 hex digits that the agent sends back, as 16 bytes, on the connection it dials for the stream. */
export const STREAM_KEY_HEADER = "mezite-stream-key";
/** 64 hex digits, 32 bytes: the proxy would take the stream without TLS, from whoever knows them. Left out when it would not. */
export const STREAM_SECRET_HEADER = "mezite-stream-secret";
/** Id of the session at the proxy, a UUID; the node uses the same in its own records. */
export const SESSION_ID_HEADER = "mezite-session-id";
/** IP address of the person's client as the proxy saw it. */
export const CLIENT_ADDRESS_HEADER = "mezite-client-address";
/** TCP port of the person's client. */
export const CLIENT_PORT_HEADER = "mezite-client-port";

/** Kind of second factor that the proxy had proven for this one session; absent when none was. */
export const FACTOR_KIND_HEADER = "mezite-factor-kind";
/** Whose factor it was, as their certificate names them. */
export const FACTOR_USER_HEADER = "mezite-factor-user";

/** A second factor that was proven for one session, by the word of the proxy. */
export interface ProvenFactor {
  readonly kind: "totp" | "webauthn" | "hardware_key";
  readonly user: string;
}

/** What the proxy tells the node about a stream. */
export interface TunnelStreamInfo {
  readonly nodeName: string;
  /** UUID, lower case. */
  readonly sessionId: string;
  /** IPv4 or IPv6 address without a port. */
  readonly clientAddress: string;
  /** 1 to 65535. */
  readonly clientPort: number;
  readonly factor?: ProvenFactor;
}

/** The request that asks an agent to dial back for a stream. */
export function streamRequestHeaders(info: TunnelStreamInfo, key: Buffer, secret: Buffer | null = null): OutgoingHttpHeaders {
  return {
    ...(secret === null ? {} : { [STREAM_SECRET_HEADER]: secret.toString("hex") }),
    ":method": "POST",
    ":path": STREAM_PATH,
    [STREAM_KEY_HEADER]: key.toString("hex"),
    ...streamInfoHeaders(info),
  };
}

/** What is said of a stream, to an agent and to another proxy. */
export function streamInfoHeaders(info: TunnelStreamInfo): Record<string, string> {
  return {
    [NODE_NAME_HEADER]: info.nodeName,
    [SESSION_ID_HEADER]: info.sessionId,
    [CLIENT_ADDRESS_HEADER]: info.clientAddress,
    [CLIENT_PORT_HEADER]: String(info.clientPort),
    ...(info.factor === undefined ? {} : { [FACTOR_KIND_HEADER]: info.factor.kind, [FACTOR_USER_HEADER]: info.factor.user }),
  };
}

/**
 * Checks a proxy's request for a stream.
 * @throws {MezError} `INVALID_ARGUMENT` naming the header.
 */
export function parseStreamHeaders(headers: IncomingHttpHeaders): {
  info: TunnelStreamInfo;
  key: Buffer;
  /** `null` when the stream must have TLS. */
  secret: Buffer | null;
} {
  if (headers[":method"] !== "POST") throw invalid(":method", headers[":method"], "POST");
  if (headers[":path"] !== STREAM_PATH) throw invalid(":path", headers[":path"], STREAM_PATH);
  const info = parseStreamInfo(headers);
  const key = matching(headers, STREAM_KEY_HEADER, (text) => /^[0-9a-f]{32}$/.test(text), "32 hex digits");
  const secret =
    headers[STREAM_SECRET_HEADER] === undefined
      ? null
      : Buffer.from(
          matching(headers, STREAM_SECRET_HEADER, (text) => /^[0-9a-f]{64}$/.test(text), "64 hex digits"),
          "hex",
        );
  return { info, key: Buffer.from(key, "hex"), secret };
}

/**
 * Checks what is said of a stream.
 * @throws {MezError} `INVALID_ARGUMENT` naming the header.
 */
export function parseStreamInfo(headers: IncomingHttpHeaders): TunnelStreamInfo {
  return {
    nodeName: matching(headers, NODE_NAME_HEADER, (text) => NODE_NAME.test(text), "a node name of at most 253 characters"),
    sessionId: parseSessionId(headers),
    clientAddress: matching(headers, CLIENT_ADDRESS_HEADER, (text) => isIP(text) !== 0, "an IP address"),
    clientPort: Number(matching(headers, CLIENT_PORT_HEADER, isPort, "a port from 1 to 65535")),
    ...factorOf(headers),
  };
}

/** @throws {MezError} `INVALID_ARGUMENT` */
export function parseSessionId(headers: IncomingHttpHeaders): string {
  return matching(headers, SESSION_ID_HEADER, (text) => UUID.test(text), "a UUID");
}

// --- internal ---

const NODE_NAME = /^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,252})$/;
const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

function factorOf(headers: IncomingHttpHeaders): { factor?: ProvenFactor } {
  if (headers[FACTOR_KIND_HEADER] === undefined && headers[FACTOR_USER_HEADER] === undefined) return {};
  const text = matching(headers, FACTOR_KIND_HEADER, (word) => isFactorKind(word), "totp, webauthn or hardware_key");
  const user = matching(headers, FACTOR_USER_HEADER, (word) => /^[\x21-\x7e]{1,128}$/.test(word), "a user name");
  return isFactorKind(text) ? { factor: { kind: text, user } } : {};
}

function isFactorKind(word: string): word is ProvenFactor["kind"] {
  return word === "totp" || word === "webauthn" || word === "hardware_key";
}

function isPort(text: string): boolean {
  return /^[1-9][0-9]{0,4}$/.test(text) && Number(text) <= 65_535;
}

function matching(headers: IncomingHttpHeaders, name: string, isValid: (text: string) => boolean, expected: string): string {
  const value = headers[name];
  if (typeof value !== "string" || !isValid(value)) throw invalid(name, value, expected);
  return value;
}

function invalid(name: string, value: unknown, expected: string): MezError {
  const shown = value === undefined ? "is missing" : `has ${JSON.stringify(value).slice(0, 80)}`;
  return new MezError("INVALID_ARGUMENT", `stream header "${name}" ${shown}; expected ${expected}`);
}
