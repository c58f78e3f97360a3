import { createRequire } from "node:module";
import type { HostCredentials } from "../../../core/plugin/host-identity.js";
import { TUNNEL_ALPN, tunnelTlsOptions } from "../../../core/tunnel/tunnel-protocol.js";
import { ClientHello } from "./light/client-hello.js";
import { HeaderDecoder } from "./light/header-decoder.js";
import { KeyShare } from "./light/key-share.js";
import { SharedTrust } from "./light/shared-trust.js";

const SERVER_NAME = "localhost";

/** What the agents of a process have in common. */
export interface LightWorld {
  /** Of connections to the auth service, as `core/rpc/client.ts` begins them. */
  readonly rpcHello: ClientHello;
  /** Of connections to the proxy, as `core/tunnel/stream-dialer.ts` begins them. */
  readonly tunnelHello: ClientHello;
  readonly keyShare: KeyShare;
  readonly decoder: HeaderDecoder;
  readonly trusts: SharedTrust;
  readonly userAgent: string;
}

/** @param credentials Of any of the agents. */
export async function lightWorld(credentials: HostCredentials): Promise<LightWorld> {
  const { ciphers, minVersion } = tunnelTlsOptions(credentials);
  const { version } = createRequire(import.meta.url)("@grpc/grpc-js/package.json") as { readonly version: string };
  return {
    rpcHello: await ClientHello.of({ servername: SERVER_NAME, ALPNProtocols: ["h2"], minVersion: "TLSv1.3" }),
    tunnelHello: await ClientHello.of({
      ...{ servername: SERVER_NAME, ALPNProtocols: [TUNNEL_ALPN] },
      ...(ciphers === undefined ? {} : { ciphers }),
      ...(minVersion === undefined ? {} : { minVersion }),
    }),
    keyShare: new KeyShare(),
    decoder: new HeaderDecoder(),
    trusts: new SharedTrust(credentials),
    userAgent: `grpc-node-js/${version}`,
  };
}
