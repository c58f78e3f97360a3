import assert from "node:assert/strict";
import { test } from "node:test";
import { isMezError, MezError } from "../../../core/errors/error.js";
import type { RpcConnection } from "../../../core/plugin/rpc.js";
import type {
  IssueX509SvidsRequest,
  IssueX509SvidsResponse,
} from "../../../proto/gen/mezite/workload_identities/v1/workload_identities.js";
import type { UnixFacts } from "./selectors.js";
import type { WorkloadEntry } from "./workload-entry.js";
import { RemoteWorkloadIssuer } from "./workload-issuer.js";

const FACTS: UnixFacts = { pid: 7, uid: 1000, gid: 100, groups: [27, 100], path: null, sha256: null, isProgramVisible: true };
const EXPIRES = new Date("2030-01-01T00:00:00Z");

test("asks for 100 SVIDs at a time, and gives the answers back in their order", async () => {
  const asked: number[] = [];
  const issuer = new RemoteWorkloadIssuer(() =>
    connection(async ({ orders }) => {
      asked.push(orders.length);
      return { results: orders.map(({ entry }) => svid(entry)) };
    }),
  );
  const found = await issuer.issueX509(Array.from({ length: 230 }, (_, index) => order(`entry-${index}`)));
  assert.deepEqual(asked, [100, 100, 30]);
  assert.deepEqual(
    found.map((result) => (result instanceof MezError ? null : result.spiffeId)),
    Array.from({ length: 230 }, (_, index) => `spiffe://test/entry-${index}`),
  );
});

test("tells the auth service what was attested, each group once, and nothing that is not known", async () => {
  let asked: IssueX509SvidsRequest | null = null;
  const issuer = new RemoteWorkloadIssuer(() =>
    connection(async (request) => {
      asked = request;
      return { results: [svid("web")] };
    }),
  );
  await issuer.issueX509([order("web")]);
  const process = { pid: 7, uid: 1000, gids: [100, 27], path: "", sha256: "" };
  assert.deepEqual(asked, { orders: [{ entry: "web", revision: "1", publicKey: Buffer.from("key"), process }] });
});

for (const [what, result, code] of [
  ["a refusal", { result: { $case: "refusal", refusal: { code: "NOT_FOUND", message: "gone" } } }, "NOT_FOUND"],
  [
    "a refusal with an unknown code",
    { result: { $case: "refusal", refusal: { code: "OTHER", message: "no" } } },
    "ACCESS_DENIED",
  ],
  ["an empty answer", {}, "INTERNAL"],
] as const) {
  test(`takes ${what} as the result of that order alone`, async () => {
    const issuer = new RemoteWorkloadIssuer(() => connection(async () => ({ results: [result, svid("web")] })));
    const [first, second] = await issuer.issueX509([order("other"), order("web")]);
    assert.ok(isMezError(first, code));
    assert.ok(second !== undefined && !(second instanceof MezError));
  });
}

test("refuses an answer that lacks a result", async () => {
  const issuer = new RemoteWorkloadIssuer(() => connection(async () => ({ results: [] })));
  await assert.rejects(issuer.issueX509([order("web")]), (error) => isMezError(error, "INTERNAL"));
});

test("makes a call again when newer certificates took the connection away, and only then", async () => {
  const fails = connection(async () => {
    current = works;
    throw new MezError("CANCELLED", "the connection is closed");
  });
  const works = connection(async () => ({ results: [svid("web")] }));
  let current = fails;
  const issuer = new RemoteWorkloadIssuer(() => current);
  assert.equal((await issuer.issueX509([order("web")])).length, 1);
  current = connection(async () => {
    throw new MezError("UNAVAILABLE", "away");
  });
  const away = new RemoteWorkloadIssuer(() => current);
  await assert.rejects(away.issueX509([order("web")]), (error) => isMezError(error, "UNAVAILABLE"));
});

test("is out of reach before there are certificates", async () => {
  await assert.rejects(new RemoteWorkloadIssuer(() => null).issueX509([order("web")]), (error) =>
    isMezError(error, "UNAVAILABLE"),
  );
});

// --- internal ---

function order(name: string) {
  const selectors = { uids: [1000], gids: [], paths: [], sha256: [] };
  const entry: WorkloadEntry = { name, revision: "1", spiffeId: `spiffe://test/${name}`, hint: "", selectors };
  return { entry, facts: FACTS, publicKey: Buffer.from("key") };
}

function svid(name: string): IssueX509SvidsResponse["results"][number] {
  const found = { spiffeId: `spiffe://test/${name}`, certificateChain: Buffer.alloc(1), serial: "1", expiresAt: EXPIRES };
  return { result: { $case: "svid", svid: found } };
}

function connection(issueX509Svids: (request: IssueX509SvidsRequest) => Promise<IssueX509SvidsResponse>): RpcConnection {
  return {
    client: () => ({ issueX509Svids }) as never,
    serverFingerprint: async () => Buffer.alloc(0),
    serverAuthority: () => null,
    close() {},
  };
}
