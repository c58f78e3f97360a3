import { createSecureContext, type SecureContext, type SecureContextOptions } from "node:tls";
import type { Secret } from "../plugin/secret.js";

/** ALPN name (RFC 7301) that both ends insist on; what follows is HTTP/2 with the agent as its server. */
export const TUNNEL_ALPN = "mezite-tunnel";

/** What one end of a tunnel shows and trusts. `HostCredentials` of `core/plugin` fits. */
export interface TunnelCredentials {
  readonly certificatePem: string;
  readonly privateKeyPem: Secret;
  /** X.509 certificates of the Host CA that the peer is checked against. */
  readonly trustPem: readonly string[];
}

/** How often a quiet peer is asked whether it lives; it has as long again to answer. */
export const PING_INTERVAL_SECONDS = 15;

/** From TCP connect to the first HTTP/2 settings of the peer. */
export const HANDSHAKE_SECONDS = 10;

/** What one stream may have in flight: 4 MiB carries 40 MiB/s over a round trip of 100 ms. */
export const STREAM_WINDOW_BYTES = 4 * 1024 * 1024;

/** What all streams of a tunnel may have in flight together. */
export const TUNNEL_WINDOW_BYTES = 16 * 1024 * 1024;

/** Frames stay at HTTP/2's 16 KiB: larger ones measured no faster and let one stream hold up the others. */
export const HTTP2_OPTIONS = {
  // Node's own limit of 10 MB refuses new streams while a few slow readers fill their windows.
  maxSessionMemory: 256,
  settings: { initialWindowSize: STREAM_WINDOW_BYTES, enablePush: false, maxConcurrentStreams: 10_000 },
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

/** The same as a context that many connections share. */
export function tunnelSecureContext(credentials: TunnelCredentials): SecureContext {
  return createSecureContext(tunnelTlsOptions(credentials));
}
