import { Secret } from "../../core/plugin/secret.js";
import type { TunnelCredentials } from "../../core/tunnel/tunnel-protocol.js";

/** What the parent process gives to the processes of the benchmark, as JSON in `TUNNEL_BENCH`. */
export interface BenchSetup {
  readonly proxy: Pem;
  readonly agent: Pem;
  readonly tunnelPort: number;
  readonly agents: number;
}

interface Pem {
  readonly certificatePem: string;
  readonly privateKey: string;
  readonly trustPem: readonly string[];
}

export function toPem(credentials: TunnelCredentials): Pem {
  return { ...credentials, trustPem: credentials.trustPem, privateKey: credentials.privateKeyPem.expose() };
}

export function fromPem({ certificatePem, privateKey, trustPem }: Pem): TunnelCredentials {
  return { certificatePem, trustPem, privateKeyPem: new Secret(privateKey) };
}
