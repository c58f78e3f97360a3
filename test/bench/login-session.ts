import { readFileSync } from "node:fs";
import { join } from "node:path";
import { ProfileStore } from "../../cli/msh/profile-store.js";
import type { RpcConnection } from "../../core/plugin/rpc.js";
import { Secret } from "../../core/plugin/secret.js";
import { grpcDialer } from "../../core/rpc/client.js";
import type { Cluster } from "../fixtures/cluster.js";

/** What a program needs to speak for a person who has logged in; JSON. */
export interface LoginSession {
  readonly address: string;
  readonly authoritiesPem: readonly string[];
  readonly token: string;
}

/** The session that `msh login` left in a home. */
export function loginSessionOf(cluster: Cluster, home: string): LoginSession {
  const profiles = new ProfileStore(join(home, ".mezite"));
  const profile = profiles.current();
  const token = profile === null ? null : profiles.sessionToken(profile.cluster);
  if (profile === null || token === null) throw new Error(`nobody is logged in with home ${home}`);
  const authority = readFileSync(join(cluster.dataDirectory, "host-ca.pem"), "utf8");
  return { address: profile.authServers[0] as string, authoritiesPem: [authority], token: token.expose() };
}

/** A gRPC connection with that session. */
export function connectWith({ address, authoritiesPem, token }: LoginSession): RpcConnection {
  const trust = { kind: "authorities", certificatesPem: authoritiesPem } as const;
  return grpcDialer.dial({ addresses: [address], trust, token: new Secret(token) });
}
