import { setTimeout as delay } from "node:timers/promises";
import { type Client, connectivityState } from "@grpc/grpc-js";
import { HEAD_START_MS, isReachable, listening } from "./address-order.js";

/** A client of one server, which may or may not be there. */
export interface OpenClient {
  readonly client: Client;
  readonly address: string;
  readonly fingerprint: Buffer | null;
}

/** The client that was found. */
export interface FoundClient {
  readonly open: OpenClient;
  /** Otherwise its server listens and does not shake hands, and no other does either. */
  readonly isReady: boolean;
}

/**
 * Finds the first server that shakes hands; of those that do not, the first that listens.
 * @param last The one that answered last time, or `null`. It is asked at once with the first of the addresses, and whichever shakes
 *   hands first is taken: what is remembered saves time when it is true, and costs none when it is not.
 * @returns `null` when nobody listens
 */
export async function firstReady(
  addresses: readonly string[],
  last: string | null,
  open: (address: string) => Promise<OpenClient>,
): Promise<FoundClient | null> {
  const [first] = addresses;
  const together = first !== undefined && last !== null && last !== first && addresses.includes(last) ? [first, last] : [];
  const fast = together.length === 0 ? null : await firstOf(together, open);
  if (fast !== null) return { open: fast, isReady: true };
  const others = addresses.filter((address) => !together.includes(address));
  return oneByOne([...others, ...together], open);
}

// --- internal ---

const READY_TIMEOUT_MS = 3_000;

async function oneByOne(
  addresses: readonly string[],
  open: (address: string) => Promise<OpenClient>,
): Promise<FoundClient | null> {
  let refusal: OpenClient | null = null;
  for await (const address of listening(addresses)) {
    const opened = await open(address).catch(() => null);
    if (opened === null) continue;
    if (await becomesReady(opened.client)) {
      refusal?.client.close();
      return { open: opened, isReady: true };
    }
    if (refusal === null) refusal = opened;
    else opened.client.close();
  }
  return refusal === null ? null : { open: refusal, isReady: false };
}

/** The one of these servers that shakes hands first; `null` when none does, or nothing listens at any of them for half a second. */
async function firstOf(addresses: readonly string[], open: (address: string) => Promise<OpenClient>): Promise<OpenClient | null> {
  let winner: OpenClient | null = null;
  const over = new AbortController();
  const reached = Promise.withResolvers<boolean>();
  const tries = addresses.map(async (address): Promise<OpenClient> => {
    if (!(await isReachable(address, over.signal))) throw new Error("nothing listens");
    reached.resolve(true);
    const opened = await open(address);
    // The one that was faster has won meanwhile.
    if (over.signal.aborted) opened.client.close();
    over.signal.addEventListener("abort", () => winner !== opened && opened.client.close());
    if (over.signal.aborted || !(await becomesReady(opened.client))) throw new Error("no handshake");
    winner ??= opened;
    return winner;
  });
  const found = Promise.any(tries).catch(() => null);
  const isReached = await Promise.race([reached.promise, found, delay(HEAD_START_MS, null, { ref: false })]);
  if (isReached !== null) await found;
  over.abort();
  return winner;
}

/** Whether the handshake succeeds soon. A process that hangs still has its connections accepted, by the system. */
function becomesReady(client: Client): Promise<boolean> {
  const channel = client.getChannel();
  const until = Date.now() + READY_TIMEOUT_MS;
  return new Promise((resolve) => {
    const look = (): void => {
      const state = channel.getConnectivityState(true);
      if (state === connectivityState.READY) resolve(true);
      else if (state === connectivityState.TRANSIENT_FAILURE || state === connectivityState.SHUTDOWN) resolve(false);
      else channel.watchConnectivityState(state, until, (error) => (error === undefined ? look() : resolve(false)));
    };
    look();
  });
}
