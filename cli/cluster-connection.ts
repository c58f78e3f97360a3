import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { PACKAGE_ROOT } from "../core/cli/release.js";
import { escapeControls } from "../core/cli/terminal-text.js";
import { isMezError, MezError } from "../core/errors/error.js";
import type { CommandContext } from "../core/plugin/commands.js";
import type { RpcConnection } from "../core/plugin/rpc.js";
import type { Secret } from "../core/plugin/secret.js";
import { parseAddressList } from "../core/rpc/address-list.js";
import type { TrustDecision, TrustRequest } from "../core/rpc/trust.js";
import { AnsweredAddress } from "./answered-address.js";
import { terminalQuestion } from "./terminal-question.js";

const DEFAULT_AUTH_PORT = 3025;
/** How long a command waits to learn which Host CA keys count, before it goes on without. */
const REFRESH_MS = 1_000;
/** How long one of several servers may be silent before the next is tried. */
const SEVERAL_MS = 3_000;
/** How long a command asks again while the auth servers can serve nobody, as during a failover of their database. */
const PATIENCE_SECONDS = 15;
/** Addresses that this run has waited for in vain. */
const UNANSWERED = new Set<string>();

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
 * Connects to the auth service after deciding that it is the right one. The token is sent with calls only, and those
 * are made over connections that passed the check.
 * @param addresses Of its servers, in the order in which they are tried; each `host:port`.
 * @throws {MezError} see `decideTrust`
 */
export async function connectTo(
  context: CommandContext,
  addresses: readonly string[],
  token: Secret | undefined,
): Promise<LearningConnection> {
  const decision = await trustFor(context, addresses);
  const connection = await dialTrusted(context, addresses, decision, token);
  return { connection, learned: learnTrust(context, connection, addresses, decision) };
}

/** Opens a connection to servers that `trustFor` decided about: to the first that shakes hands, those last that did not answer it. */
export async function dialTrusted(
  context: CommandContext,
  addresses: readonly string[],
  decision: TrustDecision,
  token?: Secret,
): Promise<RpcConnection> {
  const [{ grpcDialer }, { TrustedConnection }] = await Promise.all([
    import("../core/rpc/client.js"),
    import("../core/rpc/trusted-connection.js"),
  ]);
  const inOrder = [...addresses].sort((left, right) => Number(UNANSWERED.has(left)) - Number(UNANSWERED.has(right)));
  const answered = new AnsweredAddress(meziteFolder(context), addresses);
  const connection = grpcDialer.dial({
    addresses: inOrder,
    trust: decision.trust,
    answered,
    patience: {
      seconds: PATIENCE_SECONDS,
      onWait: (reason) => context.output.note(`${reason}; asking again for up to ${PATIENCE_SECONDS} s`),
      signal: context.signal,
    },
    ...(token === undefined ? {} : { token }),
  });
  return new TrustedConnection(connection, addresses, decision);
}

/** Addresses of auth servers as they are written in flags and variables: port 3025 when none is given. */
export function authServersIn(text: string): readonly string[] {
  return parseAddressList(text, DEFAULT_AUTH_PORT);
}

/**
 * Decides by what the servers at `addresses` are judged, from the flags of this run and what is remembered. They are of one
 * cluster, so the first that something is remembered of speaks for all; without one, the first that answers does.
 */
export async function trustFor(context: CommandContext, addresses: readonly string[]): Promise<TrustDecision> {
  const [{ decideTrust }, { KnownAuthorities }] = await Promise.all([
    import("../core/rpc/trust.js"),
    import("../core/rpc/trust-memory.js"),
  ]);
  const { insecure, caFile, caPin } = context.globals;
  const known = new KnownAuthorities(meziteFolder(context));
  const decide = (address: string): Promise<TrustDecision> =>
    decideTrust({
      address,
      insecure: insecure === true,
      caFile: typeof caFile === "string" ? caFile : undefined,
      caPin: typeof caPin === "string" ? caPin : undefined,
      known,
      dataDirectories: dataDirectories(context),
      ...(addresses.length > 1 ? { timeoutMs: SEVERAL_MS } : {}),
      fetchAuthorities: () => fetchAuthorities(address),
      ask: questionFor(context),
      warn: (text) => context.output.note(text),
    });
  const remembered = addresses.filter((address) => known.recall(address) !== null);
  const isKnown = remembered.length > 0 || insecure === true || typeof caFile === "string" || addresses.length === 1;
  const inOrder = isKnown ? new Set([...remembered, ...addresses]) : await reachableOf(context, addresses);
  let last: unknown;
  for await (const address of inOrder) {
    try {
      const decision = await decide(address);
      // Those before it were silent.
      for (const each of isKnown ? [] : addresses.slice(0, addresses.indexOf(address))) UNANSWERED.add(each);
      return decision;
    } catch (error) {
      if (!isMezError(error, "UNAVAILABLE") || addresses.length === 1) throw error;
      UNANSWERED.add(address);
      last = error;
    }
  }
  throw new MezError("UNAVAILABLE", `cannot reach any auth service: ${addresses.join(", ")}`, { cause: last });
}

// --- internal ---

/** The addresses at which something listens, in the order in which it is found out. */
async function reachableOf(context: CommandContext, addresses: readonly string[]): Promise<AsyncIterable<string>> {
  const { listening } = await import("../core/rpc/address-order.js");
  return listening(addresses, undefined, new AnsweredAddress(meziteFolder(context), addresses).last());
}

async function learnTrust(
  context: CommandContext,
  connection: RpcConnection,
  addresses: readonly string[],
  decision: TrustDecision,
): Promise<void> {
  const { refreshTrust } = await import("./trust-refresh.js");
  const limit = new AbortController();
  const slow = delay(REFRESH_MS, undefined, { signal: limit.signal }).catch(() => {});
  await Promise.race([refreshTrust(context, connection, addresses, decision), slow]);
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
