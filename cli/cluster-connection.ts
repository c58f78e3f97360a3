import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { PACKAGE_ROOT } from "../core/cli/release.js";
import { escapeControls } from "../core/cli/terminal-text.js";
import type { CommandContext } from "../core/plugin/commands.js";
import type { RpcConnection } from "../core/plugin/rpc.js";
import type { Secret } from "../core/plugin/secret.js";
import { parseHostPort } from "../core/rpc/address.js";
import type { TrustDecision, TrustRequest } from "../core/rpc/trust.js";
import { terminalQuestion } from "./terminal-question.js";

const DEFAULT_AUTH_PORT = 3025;
/** How long a command waits to learn which Host CA keys count, before it goes on without. */
const REFRESH_MS = 1_000;

/** `~/.mezite`: what a person's programs remember. */
export function meziteFolder(context: CommandContext): string {
  return join(context.homeDirectory, ".mezite");
}

/** A connection, and what is learned over it beside the calls of the command. */
export interface LearningConnection {
  readonly connection: RpcConnection;
  /** Resolves when `~/.mezite` knows which Host CA keys count, or cannot learn it now; never rejects. */
  readonly learned: Promise<void>;
}

/**
 * Connects to an auth service after deciding that it is the right one. The token is sent with calls only, and those
 * are made over connections that passed the check.
 * @param address `host`, or `host:port`.
 * @throws {MezError} see `decideTrust`
 */
export async function connectTo(
  context: CommandContext,
  address: string,
  token: Secret | undefined,
): Promise<LearningConnection> {
  const full = fullAddress(address);
  const decision = await trustFor(context, full);
  const connection = await dialTrusted(full, decision, token);
  return { connection, learned: learnTrust(context, connection, full, decision) };
}

/** Opens a connection to a server that `trustFor` decided about. */
export async function dialTrusted(address: string, decision: TrustDecision, token?: Secret): Promise<RpcConnection> {
  const [{ grpcDialer }, { TrustedConnection }] = await Promise.all([
    import("../core/rpc/client.js"),
    import("../core/rpc/trusted-connection.js"),
  ]);
  const connection = grpcDialer.dial({ addresses: [address], trust: decision.trust, ...(token === undefined ? {} : { token }) });
  return new TrustedConnection(connection, address, decision);
}

/** The address with its port: 3025 when none is written. */
export function fullAddress(address: string): string {
  const { host, port } = parseHostPort(address, DEFAULT_AUTH_PORT);
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

/** Decides by what the server at `address` is judged, from the flags of this run and what is remembered. */
export async function trustFor(context: CommandContext, address: string): Promise<TrustDecision> {
  const [{ decideTrust }, { KnownAuthorities }] = await Promise.all([
    import("../core/rpc/trust.js"),
    import("../core/rpc/trust-memory.js"),
  ]);
  const { insecure, caFile, caPin } = context.globals;
  return decideTrust({
    address,
    insecure: insecure === true,
    caFile: typeof caFile === "string" ? caFile : undefined,
    caPin: typeof caPin === "string" ? caPin : undefined,
    known: new KnownAuthorities(meziteFolder(context)),
    dataDirectories: dataDirectories(context),
    fetchAuthorities: () => fetchAuthorities(address),
    ask: questionFor(context),
    warn: (text) => context.output.note(text),
  });
}

// --- internal ---

async function learnTrust(
  context: CommandContext,
  connection: RpcConnection,
  address: string,
  decision: TrustDecision,
): Promise<void> {
  const { refreshTrust } = await import("./trust-refresh.js");
  const limit = new AbortController();
  const slow = delay(REFRESH_MS, undefined, { signal: limit.signal }).catch(() => {});
  await Promise.race([refreshTrust(context, connection, address, decision), slow]);
  limit.abort();
}

/** Where a cluster on this machine keeps its state: as configured by variable, in this checkout, or installed. */
function dataDirectories({ env }: CommandContext): readonly string[] {
  const configured = env["MEZITE_DATA_DIR"] ?? "";
  return [...(configured === "" ? [] : [configured]), join(PACKAGE_ROOT, ".mezite"), "/var/lib/mezite"];
}

async function fetchAuthorities(address: string): Promise<readonly string[]> {
  const [{ grpcDialer }, { AuthorityType, CaServiceService }] = await Promise.all([
    import("../core/rpc/client.js"),
    import("../proto/gen/mezite/ca/v1/ca.js"),
  ]);
  const connection = grpcDialer.dial({ addresses: [address], trust: { kind: "none" } });
  try {
    const { certificatesPem } = await connection.client(CaServiceService).export({ type: AuthorityType.AUTHORITY_TYPE_HOST });
    return certificatesPem;
  } finally {
    connection.close();
  }
}

function questionFor(context: CommandContext): TrustRequest["ask"] {
  const question = terminalQuestion(context);
  if (question === null) return null;
  return ({ address, subject, pin }) =>
    question(
      `The CA of the cluster at ${address} is not known on this machine.\n` +
        `  ${escapeControls(subject)}\n  ${pin}\n` +
        `Compare the last line with "mezctl ca status" on the server. Trust this cluster from now on (yes/no)? `,
    );
}
