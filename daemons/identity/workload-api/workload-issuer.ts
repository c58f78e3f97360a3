import { isMezError, MezError } from "../../../core/errors/error.js";
import type { RpcClient, RpcConnection } from "../../../core/plugin/rpc.js";
import {
  type AttestedProcess,
  type IssueX509SvidsResponse,
  WorkloadIssuanceServiceService,
  type WorkloadSnapshot,
} from "../../../proto/gen/mezite/workload_identities/v1/workload_identities.js";
import type { UnixFacts } from "./selectors.js";
import type { WorkloadEntry } from "./workload-entry.js";
import type { WorkloadSource } from "./workload-watch.js";

/** An SVID that is wanted, by the program that asked for it. */
export interface SvidOrder {
  readonly entry: WorkloadEntry;
  readonly facts: UnixFacts;
}

export interface IssuedX509Svid {
  readonly spiffeId: string;
  /** DER, the leaf first. */
  readonly certificateChain: Buffer;
  readonly expiresAt: Date;
}

export interface IssuedJwtSvid {
  readonly spiffeId: string;
  /** JWS, compact. */
  readonly token: string;
  readonly expiresAt: Date;
}

/** What the auth service does for workloads. */
export interface WorkloadIssuer {
  /** One result for each order: `MezError`s `NOT_FOUND`, `CONFLICT`, `ACCESS_DENIED` are of that order alone. */
  issueX509(orders: readonly (SvidOrder & { readonly publicKey: Buffer })[]): Promise<readonly (IssuedX509Svid | MezError)[]>;
  issueJwt(order: SvidOrder, audiences: readonly string[]): Promise<IssuedJwtSvid>;
}

/** Calls the auth service. */
export class RemoteWorkloadIssuer implements WorkloadIssuer, WorkloadSource {
  /** @param connection Under the newest certificate of the instance, `null` before the first. */
  constructor(private readonly connection: () => RpcConnection | null) {}

  async *watch(signal: AbortSignal): AsyncIterable<WorkloadSnapshot | null> {
    for await (const { message } of this.#client().watchWorkloads({}, { signal }))
      yield message?.$case === "snapshot" ? message.snapshot : null;
  }

  async report(sequence: number, x509AuthoritySha256: readonly Buffer[]): Promise<void> {
    await this.#client().reportTrust({ sequence, x509AuthoritySha256: [...x509AuthoritySha256] });
  }

  async issueX509(
    orders: readonly (SvidOrder & { readonly publicKey: Buffer })[],
  ): Promise<readonly (IssuedX509Svid | MezError)[]> {
    const found: (IssuedX509Svid | MezError)[] = [];
    for (let start = 0; start < orders.length; start += MAX_ORDERS) {
      const some = orders.slice(start, start + MAX_ORDERS);
      const { results } = await this.#call((client) =>
        client.issueX509Svids({
          orders: some.map(({ entry: { name, revision }, publicKey, facts }) => ({
            ...{ entry: name, revision, publicKey },
            process: attested(facts),
          })),
        }),
      );
      if (results.length !== some.length) throw new MezError("INTERNAL", "the auth service did not answer each order");
      found.push(...results.map(readResult));
    }
    return found;
  }

  async issueJwt({ entry, facts }: SvidOrder, audiences: readonly string[]): Promise<IssuedJwtSvid> {
    const { name, revision } = entry;
    const { spiffeId, token, expiresAt } = await this.#call((client) =>
      client.issueJwtSvid({ entry: name, revision, audiences: [...audiences], process: attested(facts) }),
    );
    if (token === "" || expiresAt === undefined) throw incomplete();
    return { spiffeId, token, expiresAt };
  }

  /** A call that lost its connection to that of a newer certificate is made once more. */
  async #call<T>(work: (client: IssuanceClient) => Promise<T>): Promise<T> {
    const used = this.connection();
    try {
      return await work(this.#client());
    } catch (error) {
      if (used === this.connection() || !isMezError(error, "UNAVAILABLE", "UNAUTHENTICATED", "CANCELLED")) throw error;
      return work(this.#client());
    }
  }

  #client(): IssuanceClient {
    const connection = this.connection();
    if (connection === null) throw new MezError("UNAVAILABLE", "there are no certificates yet to call the auth service with");
    return connection.client(WorkloadIssuanceServiceService);
  }
}

// --- internal ---

type IssuanceClient = RpcClient<typeof WorkloadIssuanceServiceService>;

const MAX_ORDERS = 100;
const REFUSALS = ["NOT_FOUND", "CONFLICT", "ACCESS_DENIED", "INVALID_ARGUMENT"] as const;

function attested({ pid, uid, gid, groups, path, sha256 }: UnixFacts): AttestedProcess {
  return { pid, uid, gids: [gid, ...groups.filter((group) => group !== gid)], path: path ?? "", sha256: sha256 ?? "" };
}

function readResult({ result }: IssueX509SvidsResponse["results"][number]): IssuedX509Svid | MezError {
  if (result?.$case === "refusal") {
    const { code, message } = result.refusal;
    return new MezError(REFUSALS.find((known) => known === code) ?? "ACCESS_DENIED", message);
  }
  if (result?.$case !== "svid" || result.svid.expiresAt === undefined) return incomplete();
  const { spiffeId, certificateChain, expiresAt } = result.svid;
  return { spiffeId, certificateChain, expiresAt };
}

function incomplete(): MezError {
  return new MezError("INTERNAL", "the auth service sent an SVID that is not complete");
}
