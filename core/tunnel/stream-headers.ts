import type { IncomingHttpHeaders, OutgoingHttpHeaders } from "node:http2";
import { isIP } from "node:net";
import { MezError } from "../errors/error.js";

/** Name of the node that the stream is for; the `:authority` of the CONNECT request (RFC 9113, 8.5). */
export const NODE_NAME_HEADER = ":authority";
/** Id of the session at the proxy, a UUID; the node uses the same in its own records. */
export const SESSION_ID_HEADER = "mezite-session-id";
/** IP address of the person's client as the proxy saw it. */
export const CLIENT_ADDRESS_HEADER = "mezite-client-address";
/** TCP port of the person's client. */
export const CLIENT_PORT_HEADER = "mezite-client-port";

/** What the proxy tells the node about a stream. */
export interface TunnelStreamInfo {
  readonly nodeName: string;
  /** UUID, lower case. */
  readonly sessionId: string;
  /** IPv4 or IPv6 address without a port. */
  readonly clientAddress: string;
  /** 1 to 65535. */
  readonly clientPort: number;
}

/** The CONNECT request that opens a stream. */
export function streamRequestHeaders(info: TunnelStreamInfo): OutgoingHttpHeaders {
  return {
    ":method": "CONNECT",
    [NODE_NAME_HEADER]: info.nodeName,
    [SESSION_ID_HEADER]: info.sessionId,
    [CLIENT_ADDRESS_HEADER]: info.clientAddress,
    [CLIENT_PORT_HEADER]: String(info.clientPort),
  };
}

/**
 * Checks the headers of a stream that a proxy opened.
 * @throws {MezError} `INVALID_ARGUMENT` naming the header.
 */
export function parseStreamHeaders(headers: IncomingHttpHeaders): TunnelStreamInfo {
  if (headers[":method"] !== "CONNECT") throw invalid(":method", headers[":method"], "CONNECT");
  return {
    nodeName: matching(headers, NODE_NAME_HEADER, (text) => NODE_NAME.test(text), "a node name of at most 253 characters"),
    sessionId: matching(headers, SESSION_ID_HEADER, (text) => UUID.test(text), "a UUID"),
    clientAddress: matching(headers, CLIENT_ADDRESS_HEADER, (text) => isIP(text) !== 0, "an IP address"),
    clientPort: Number(matching(headers, CLIENT_PORT_HEADER, isPort, "a port from 1 to 65535")),
  };
}

// --- internal ---

const NODE_NAME = /^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,252})$/;
const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

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
