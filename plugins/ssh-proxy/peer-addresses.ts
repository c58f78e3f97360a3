import { lookup } from "node:dns/promises";
import { messageOf } from "../../core/errors/error.js";
import type { Logger } from "../../core/plugin/logger.js";
import { parseAddress } from "../../core/tunnel/stream-dialer.js";

/** Addresses of a name. @throws when it has none */
export type LookUp = (host: string) => Promise<readonly { readonly address: string; readonly family: number }[]>;

/** Finds the addresses of the other proxies. */
export class PeerAddresses {
  /**
   * Those under way, one for a name: the system's resolver cannot be stopped and has few threads, so that each session that
   * asked anew while it hangs would keep the process from its files.
   */
  readonly #underWay = new Map<string, Promise<readonly string[]>>();

  constructor(
    private readonly addresses: readonly string[],
    private readonly logger: Logger,
    private readonly lookUp: LookUp = (host) => lookup(host, { all: true }),
  ) {}

  /**
   * `host:port` of each, once, and of each name as soon as it is found: one that the resolver hangs at holds up no other.
   * @throws the signal's reason when it aborts
   */
  async *find(signal: AbortSignal): AsyncGenerator<string> {
    const looking = new Map(
      this.addresses.map((address) => [address, this.#resolve(address).then((found) => ({ address, found }))] as const),
    );
    const told = new Set<string>();
    while (looking.size > 0) {
      const { address, found } = await orAborted(Promise.race(looking.values()), signal);
      looking.delete(address);
      for (const each of found) {
        if (told.has(each)) continue;
        told.add(each);
        yield each;
      }
    }
  }

  #resolve(address: string): Promise<readonly string[]> {
    const known = this.#underWay.get(address);
    if (known !== undefined) return known;
    const looking = this.#lookUp(address).finally(() => void this.#underWay.delete(address));
    this.#underWay.set(address, looking);
    return looking;
  }

  async #lookUp(address: string): Promise<readonly string[]> {
    const { host, port } = parseAddress(address);
    try {
      const all = await this.lookUp(host);
      return all.map(({ address: ip, family }) => (family === 6 ? `[${ip}]:${port}` : `${ip}:${port}`));
    } catch (error) {
      this.logger.warn("another proxy cannot be found", { address, error: messageOf(error) });
      return [];
    }
  }
}

// --- internal ---

async function orAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted();
  const over = new AbortController();
  const aborted = new Promise<never>((_, reject) =>
    signal.addEventListener("abort", () => reject(signal.reason), { once: true, signal: over.signal }),
  );
  try {
    return await Promise.race([work, aborted]);
  } finally {
    over.abort();
  }
}
