import { readFileSync } from "node:fs";
import type { CommandContext } from "../core/plugin/commands.js";
import type { RpcConnection } from "../core/plugin/rpc.js";
import type { TrustDecision } from "../core/rpc/trust.js";
import { parseAuthorities } from "../core/rpc/trust-pin.js";
import { AnsweredAddress } from "./answered-address.js";
import { meziteFolder } from "./cluster-connection.js";
import { type HostTrust, hostTrustOf } from "./msh/host-trust.js";
import { hasAll } from "./msh/profile.js";
import { ProfileStore } from "./msh/profile-store.js";

/**
 * Asks the auth service which Host CA keys count, and brings `~/.mezite` up to date. During a rotation the old CA proves
 * the connection over which the new one is announced. Never fails: what cannot be learned now is learned another time.
 * @param decision By which the connection was judged; one that nobody checked teaches nothing.
 */
export async function refreshTrust(
  context: CommandContext,
  connection: RpcConnection,
  addresses: readonly string[],
  decision: TrustDecision,
): Promise<void> {
  if (decision.trust.kind === "none") return;
  try {
    const { AuthorityType, CaServiceService } = await import("../proto/gen/mezite/ca/v1/ca.js");
    const request = { type: AuthorityType.AUTHORITY_TYPE_HOST };
    const options = { signal: context.signal, timeoutMs: TIMEOUT_MS };
    const answer = await connection.client(CaServiceService).export(request, options);
    const keys = answer.sshPublicKeys.map((key) => Buffer.from(key, "base64"));
    const trust = hostTrustOf(answer.clusterName, keys, answer.certificatesPem);
    await rememberAuthorities(context, addresses, decision, answer.certificatesPem);
    refreshProfile(context, addresses, answer.clusterName, trust);
  } catch {
    // The command itself says what is wrong, if anything is.
  }
}

/** The same over a connection of its own, judged by what the login of a cluster knows; for programs that make none. */
export async function refreshTrustOf(context: CommandContext, cluster: string): Promise<void> {
  const store = new ProfileStore(meziteFolder(context));
  const profile = store.get(cluster);
  if (profile === null) return;
  try {
    const file = store.filesOf(cluster).hostCa;
    const certificatesPem = parseAuthorities(readFileSync(file, "utf8"), file);
    const decision: TrustDecision = { origin: "remembered", trust: { kind: "authorities", certificatesPem }, source: file };
    const { grpcDialer } = await import("../core/rpc/client.js");
    const connection = grpcDialer.dial({
      addresses: profile.authServers,
      trust: decision.trust,
      answered: new AnsweredAddress(meziteFolder(context), profile.authServers),
    });
    try {
      await refreshTrust(context, connection, profile.authServers, decision);
    } finally {
      connection.close();
    }
  } catch {
    // Nobody waits for this.
  }
}

// --- internal ---

const TIMEOUT_MS = 5_000;

/** Only what was remembered before: accepting a CA for the first time is for the person. */
async function rememberAuthorities(
  context: CommandContext,
  addresses: readonly string[],
  { origin }: TrustDecision,
  certificatesPem: readonly string[],
): Promise<void> {
  if (!["remembered", "asked", "ca-pin"].includes(origin) || certificatesPem.length === 0) return;
  const { KnownAuthorities } = await import("../core/rpc/trust-memory.js");
  const known = new KnownAuthorities(meziteFolder(context));
  const now = parseAuthorities(certificatesPem.join(""), "the answer").join("");
  for (const address of addresses) {
    const before = known.recall(address);
    if (before !== null && before.join("") !== now) known.remember(address, certificatesPem);
  }
}

function refreshProfile(context: CommandContext, addresses: readonly string[], cluster: string, trust: HostTrust): void {
  const store = new ProfileStore(meziteFolder(context));
  const profile = store.all().find((each) => each.cluster === cluster && hasAll(each.authServers, addresses));
  if (profile !== undefined && trust.knownHosts !== "" && trust.hostCaPem !== "") store.saveTrust(cluster, trust);
}
