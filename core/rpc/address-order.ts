import { connect } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { parseHostPort } from "./address.js";

/**
 * In which order several servers are tried: as configured, from the one on that has not failed last. Those that have said that
 * they serve nobody are left out, as long as there are others.
 */
export class AddressOrder {
  #first = 0;
  readonly #refusing = new Set<string>();

  constructor(private readonly addresses: readonly string[]) {}

  all(): readonly string[] {
    const all = [...this.addresses.slice(this.#first), ...this.addresses.slice(0, this.#first)];
    const serving = all.filter((address) => !this.#refusing.has(address));
    return serving.length === 0 ? all : serving;
  }

  /** The server at this address says that it serves nobody now. */
  refused(address: string): void {
    this.#passOver(address);
    this.#refusing.add(address);
  }

  /** Others come before this address from now on, those that have refused too: that may be long ago. */
  failed(address: string): void {
    this.#passOver(address);
    this.askAll();
  }

  /** Leaves nobody out any more. */
  askAll(): void {
    this.#refusing.clear();
  }

  #passOver(address: string): void {
    const index = this.addresses.indexOf(address);
    if (index !== -1) this.#first = (index + 1) % this.addresses.length;
  }
}

/** How long a server may be silent before others are asked as well. */
export const HEAD_START_MS = 500;

/** Whether something listens at `host:port`; whatever does not answer within three seconds does not. */
export function isReachable(address: string, signal: AbortSignal): Promise<boolean> {
  const { host, port } = parseHostPort(address);
  return new Promise((resolve) => {
    const socket = connect({ host, port, signal });
    const end = (answer: boolean): void => {
      socket.destroy();
      resolve(answer);
    };
    socket.setTimeout(REACH_TIMEOUT_MS, () => end(false));
    socket.once("connect", () => end(true)).once("error", () => end(false));
  });
}

/**
 * Those of the addresses at which something listens, in their order. One that is silent for half a second comes after the others,
 * and the next is asked meanwhile: a machine that is gone costs no more than that. Whoever takes no more ends what is under way.
 * @param last The one that answered last time, or `null`: it is asked together with the first, and comes before one that is slower.
 */
export async function* listening(
  addresses: readonly string[],
  ask: Ask = isReachable,
  last: string | null = null,
): AsyncGenerator<string> {
  const silent: { readonly address: string; readonly asked: Promise<boolean> }[] = [];
  const over = new AbortController();
  try {
    const known = last === null || last === addresses[0] ? null : ask(last, over.signal);
    for (const address of addresses) {
      if (known !== null && address === last) continue;
      const asked = ask(address, over.signal);
      if (known !== null && address === addresses[0]) {
        const isFaster = await Promise.race([asked.then(() => false), known, delay(HEAD_START_MS, false, { ref: false })]);
        if (isFaster) yield last as string;
        silent.push({ address: last as string, asked: isFaster ? Promise.resolve(false) : known });
      }
      const answer = await Promise.race([asked, delay(HEAD_START_MS, null, { ref: false })]);
      if (answer === null) silent.push({ address, asked });
      else if (answer) yield address;
    }
    for (const { address, asked } of silent) if (await asked) yield address;
  } finally {
    over.abort();
  }
}

// --- internal ---

type Ask = (address: string, signal: AbortSignal) => Promise<boolean>;

const REACH_TIMEOUT_MS = 3_000;
