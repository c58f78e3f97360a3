import { constants } from "node:crypto";
import { createSecureContext, type SecureContext, type SecureContextOptions } from "node:tls";
import type { Secret } from "../plugin/secret.js";

/** ALPN name (RFC 7301) of an agent's standing connection; what follows is HTTP/2 with the agent as its server. */
export const TUNNEL_ALPN = "mezite-tunnel";

/** ALPN name of a connection that carries one stream; it begins with the 16 bytes of the stream's key, then the bytes flow. */
export const STREAM_ALPN = "mezite-stream";

/** ALPN name of a connection between proxies: one asks for a stream to a node that is connected to the other. */
export const PEER_ALPN = "mezite-peer";

/** Random bytes that match a stream's connection with the request for it. Used once. */
export const STREAM_KEY_BYTES = 16;

/** Random bytes that prove to proxy and agent who is at the other end of a stream without TLS. Used once. */
export const STREAM_SECRET_BYTES = 32;

/**
 * What keeps a session's bytes secret between proxy and node: `tls`, or `ssh` alone, which runs inside in either case, from
 * the person's client to the node.
 */
export type SessionEncryption = "tls" | "ssh";

/** What one end of a tunnel shows and trusts. `HostCredentials` of `core/plugin` fits. */
export interface TunnelCredentials {
  readonly certificatePem: string;
  readonly privateKeyPem: Secret;
  /** X.509 certificates of the Host CA that the peer is checked against. */
  readonly trustPem: readonly string[];
}

/** How often a quiet peer is asked whether it lives; it has as long again to answer. */
export const PING_INTERVAL_SECONDS = 15;

/** How long a TCP connection may take, and how long a proxy waits for the first HTTP/2 settings of an agent whose turn has come. */
export const HANDSHAKE_SECONDS = 10;

/** How long an agent waits for those of a proxy that has taken its connection and does not hang: its turn may be long in coming. */
export const ANSWER_SECONDS = 30;

/**
 * HTTP/2 carries requests only, so its default windows do, and headers need no tables (RFC 7541, 4.2), of which a proxy
 * would keep two for each agent.
 */
export const HTTP2_OPTIONS = {
  maxDeflateDynamicTableSize: 0,
  settings: { enablePush: false, maxConcurrentStreams: 10_000, headerTableSize: 0 },
};

/** TLS for both ends: 1.3 only, and the 128-bit cipher first, the cheaper of the two per byte. */
export function tunnelTlsOptions(credentials: TunnelCredentials): SecureContextOptions {
  return {
    key: credentials.privateKeyPem.expose(),
    cert: credentials.certificatePem,
    ca: [...credentials.trustPem],
    minVersion: "TLSv1.3",
    ciphers: "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256",
  };
}

/** The same for who listens. No connection resumes another, since each proves its certificate; so nobody is given a ticket for that. */
export function tunnelServerTlsOptions(credentials: TunnelCredentials): SecureContextOptions {
  return { ...tunnelTlsOptions(credentials), secureOptions: constants.SSL_OP_NO_TICKET };
}

/** The options of who dials, as a context that many connections share. */
export function tunnelSecureContext(credentials: TunnelCredentials): SecureContext {
  return createSecureContext(tunnelTlsOptions(credentials));
}

/** Those of who listens. */
export function tunnelServerSecureContext(credentials: TunnelCredentials): SecureContext {
  return createSecureContext(tunnelServerTlsOptions(credentials));
}
