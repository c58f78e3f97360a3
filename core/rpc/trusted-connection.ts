import { X509Certificate } from "node:crypto";
import { isMezError, MezError } from "../errors/error.js";
import type { RpcClient, RpcConnection, RpcDefinition } from "../plugin/rpc.js";
import type { TrustDecision } from "./trust.js";
import { pinOf } from "./trust-pin.js";
import { type Probe, probeServer } from "./trust-probe.js";

/**
 * A connection whose failures are looked into: when a call cannot be made because the server's certificate was refused,
 * the error says so, and why, instead of calling the server unreachable. Costs nothing while calls succeed. Of several
 * servers, one that is trusted is enough for the error to stay as it is.
 */
export class TrustedConnection implements RpcConnection {
  constructor(
    private readonly inner: RpcConnection,
    private readonly addresses: readonly string[],
    private readonly decision: TrustDecision,
  ) {}

  client<Definition extends RpcDefinition>(definition: Definition): RpcClient<Definition> {
    const client = this.inner.client(definition) as Record<string, (...parameters: readonly unknown[]) => unknown>;
    const methods = Object.entries(client).map(([name, call]) => [
      name,
      definition[name]?.responseStream === true
        ? (...parameters: readonly unknown[]) => this.#stream(call(...parameters) as AsyncIterable<unknown>)
        : (...parameters: readonly unknown[]) => this.#explained(() => call(...parameters) as Promise<unknown>),
    ]);
    return Object.fromEntries(methods) as RpcClient<Definition>;
  }

  serverFingerprint(): Promise<Buffer> {
    return this.#explained(() => this.inner.serverFingerprint());
  }

  serverAuthority(): Buffer | null {
    return this.inner.serverAuthority();
  }

  moveOn(): void {
    this.inner.moveOn?.();
  }

  close(): void {
    this.inner.close();
  }

  async *#stream(responses: AsyncIterable<unknown>): AsyncIterable<unknown> {
    try {
      yield* responses;
    } catch (error) {
      throw await this.#explain(error);
    }
  }

  async #explained<Result>(call: () => Promise<Result>): Promise<Result> {
    try {
      return await call();
    } catch (error) {
      throw await this.#explain(error);
    }
  }

  async #explain(error: unknown): Promise<unknown> {
    const { trust } = this.decision;
    if (!isMezError(error, "UNAVAILABLE", "TIMEOUT") || trust.kind !== "authorities") return error;
    const probes = await Promise.all(
      this.addresses.map(async (address) => {
        const probe = await probeServer(address, trust.certificatesPem, EXPLAIN_MS).catch(() => null);
        return { address, probe };
      }),
    );
    if (probes.some(({ probe }) => probe?.problem === null)) return error;
    for (const { address, probe } of probes) if (probe !== null) return refusal(address, this.decision, probe);
    return error;
  }
}

// --- internal ---

const EXPLAIN_MS = 5_000;

function refusal(address: string, { origin, source, trust }: TrustDecision, { chain, problem }: Probe): MezError {
  if (problem?.kind !== "authority") {
    return new MezError("SERVER_NOT_TRUSTED", `the certificate of ${address} ${problem?.words ?? "is not trusted"}`);
  }
  const shown = chain.find((certificate) => new X509Certificate(certificate).ca);
  const expected = trust.kind === "authorities" ? trust.certificatesPem.map(pinOf).join(" or ") : "";
  const difference = `${shown === undefined ? "" : ` It shows ${pinOf(shown)};`} expected is ${expected}`;
  if (origin === "remembered" || origin === "asked") {
    return new MezError(
      "SERVER_NOT_TRUSTED",
      `the server at ${address} has another CA than before: somebody may be in between.${difference}`,
      { fields: { hint: `if the cluster was made anew, remove ${source} and connect again` } },
    );
  }
  const where = origin === "ca-pin" ? "the pinned CA" : `the CA in ${source}`;
  return new MezError("SERVER_NOT_TRUSTED", `the certificate of ${address} is not signed by ${where}.${difference}`);
}
