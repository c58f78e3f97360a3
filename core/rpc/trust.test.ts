import assert from "node:assert/strict";
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { ECHO, ECHO_SERVICE, type Text } from "../../test/fixtures/json-rpc.js";
import { silentLogger } from "../../test/fixtures/silent-logger.js";
import { type TestAuthority, testAuthority } from "../../test/fixtures/tls.js";
import { isMezError, type MezError } from "../errors/error.js";
import type { CallContext, RpcDefinition, RpcService } from "../plugin/rpc.js";
import { Secret } from "../plugin/secret.js";
import { systemClock } from "../time/clock.js";
import { grpcDialer } from "./client.js";
import { AnonymousCallLimiter } from "./interceptors/limit.js";
import { RpcServer } from "./server.js";
import { decideTrust, HOST_CA_FILE, type TrustRequest } from "./trust.js";
import { KnownAuthorities } from "./trust-memory.js";
import { parsePin, pinOf } from "./trust-pin.js";
import { TrustedConnection } from "./trusted-connection.js";

test("--insecure trusts whatever is shown, and warns every time", async (t) => {
  const bed = await start(t);
  const decision = await decideTrust({ ...bed.request, insecure: true });
  await decideTrust({ ...bed.request, insecure: true });
  assert.equal(decision.origin, "insecure");
  assert.equal(bed.warnings.length, 2);
  assert.match(bed.warnings[0] ?? "", /not checked/);
  assert.equal(await bed.say(decision), "hello");
});

test("trusts the CA in the file that is given", async (t) => {
  const bed = await start(t);
  const caFile = join(bed.folder, "ca.pem");
  writeFileSync(caFile, bed.authority.certificatePem);
  const decision = await decideTrust({ ...bed.request, caFile });
  assert.equal(decision.origin, "ca-file");
  assert.equal(await bed.say(decision), "hello");
});

for (const [what, content] of [
  ["an absent file", null],
  ["a file without a certificate", "hello"],
  ["a damaged certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"],
] as const) {
  test(`refuses ${what} as CA file`, async (t) => {
    const bed = await start(t);
    const caFile = join(bed.folder, "ca.pem");
    if (content !== null) writeFileSync(caFile, content);
    await assert.rejects(decideTrust({ ...bed.request, caFile }), (error) => isMezError(error, "INVALID_ARGUMENT"));
  });
}

test("trusts the CA that is pinned, found in what the server shows", async (t) => {
  const bed = await start(t);
  const decision = await decideTrust({ ...bed.request, caPin: pinOf(bed.authority.certificatePem) });
  assert.equal(decision.origin, "ca-pin");
  assert.equal(await bed.say(decision), "hello");
});

test("trusts the CA that is pinned, fetched when the server shows its leaf alone", async (t) => {
  const bed = await start(t, { showAuthority: false });
  const caPin = pinOf(bed.authority.certificatePem).toUpperCase().replace("SHA256", "sha256");
  const fetchAuthorities = async () => [(await testAuthority("Other")).certificatePem, bed.authority.certificatePem];
  const decision = await decideTrust({ ...bed.request, caPin, fetchAuthorities });
  assert.equal(await bed.say(decision), "hello");
});

test("trusts whichever of several pinned CAs the server has, before and after a rotation", async (t) => {
  const [bed, next] = [await start(t), pinOf((await testAuthority("Next")).certificatePem)];
  const caPin = `${next}, ${pinOf(bed.authority.certificatePem)}`;
  for (const known of [[], [bed.authority.certificatePem]]) {
    if (known.length > 0) bed.request.known.remember(bed.request.address, known);
    const decision = await decideTrust({ ...bed.request, caPin });
    assert.equal(decision.origin, "ca-pin");
    assert.equal(await bed.say(decision), "hello");
  }
});

test("refuses a server whose CA is not the pinned one, before anything is sent", async (t) => {
  const bed = await start(t);
  const caPin = pinOf((await testAuthority()).certificatePem);
  await assert.rejects(
    decideTrust({ ...bed.request, caPin }),
    (error) => isMezError(error, "SERVER_NOT_TRUSTED") && error.message.includes(pinOf(bed.authority.certificatePem)),
  );
  assert.equal(bed.calls.length, 0);
});

test("refuses a server that shows a copy of the pinned CA in front of a leaf of its own", async (t) => {
  const genuine = await testAuthority();
  const bed = await start(t, { shownInstead: genuine });
  const decision = await decideTrust({ ...bed.request, caPin: pinOf(genuine.certificatePem) });
  await assert.rejects(bed.say(decision), (error) => isMezError(error, "SERVER_NOT_TRUSTED"));
  assert.equal(bed.calls.length, 0);
});

test("asks once on a terminal, showing the pin, and remembers the answer", async (t) => {
  const bed = await start(t);
  const asked: string[] = [];
  const ask: TrustRequest["ask"] = async ({ pin }) => {
    asked.push(pin);
    return true;
  };
  const first = await decideTrust({ ...bed.request, ask });
  const second = await decideTrust({ ...bed.request, ask });
  assert.deepEqual([first.origin, second.origin], ["asked", "remembered"]);
  assert.deepEqual(asked, [pinOf(bed.authority.certificatePem)]);
  assert.equal(await bed.say(second), "hello");
  const file = bed.request.known.fileFor(bed.address);
  assert.equal(statSync(file).mode & 0o777, 0o600);
  assert.equal(statSync(join(file, "..")).mode & 0o777, 0o700);
});

test("remembers nothing when the person says no", async (t) => {
  const bed = await start(t);
  await assert.rejects(decideTrust({ ...bed.request, ask: async () => false }), (error) =>
    isMezError(error, "SERVER_NOT_TRUSTED"),
  );
  assert.equal(bed.request.known.recall(bed.address), null);
});

test("does not even ask about a CA that did not sign what the server shows", async (t) => {
  const bed = await start(t, { shownInstead: await testAuthority() });
  const ask = async (): Promise<boolean> => assert.fail("asked");
  await assert.rejects(decideTrust({ ...bed.request, ask }), (error) => isMezError(error, "SERVER_NOT_TRUSTED"));
});

test("without a terminal, refuses an unknown CA and shows the flag that would accept it", async (t) => {
  const bed = await start(t);
  await assert.rejects(
    decideTrust(bed.request),
    (error) =>
      isMezError(error, "SERVER_NOT_TRUSTED") && hintOf(error).includes(`--ca-pin=${pinOf(bed.authority.certificatePem)}`),
  );
});

test("refuses somebody in the middle with another CA after one was remembered, and says how to go on", async (t) => {
  const bed = await start(t);
  bed.request.known.remember(bed.address, [(await testAuthority()).certificatePem]);
  const decision = await decideTrust(bed.request);
  assert.equal(decision.origin, "remembered");
  await assert.rejects(
    bed.say(decision, "secret-token"),
    (error) =>
      isMezError(error, "SERVER_NOT_TRUSTED") &&
      /another CA than before/.test(error.message) &&
      hintOf(error).includes(bed.request.known.fileFor(bed.address)),
  );
  assert.equal(bed.calls.length, 0);
});

test("does not fall back to another kind of trust when the remembered CA cannot be read", async (t) => {
  const bed = await start(t);
  bed.request.known.remember(bed.address, ["damaged"]);
  await assert.rejects(decideTrust(bed.request), (error) => isMezError(error, "INVALID_ARGUMENT"));
});

test("finds the CA of a cluster on this machine in its data directory, and remembers nothing", async (t) => {
  const bed = await start(t);
  const dataDirectories = [join(bed.folder, "absent"), dataDirectory(bed)];
  const decision = await decideTrust({ ...bed.request, dataDirectories });
  assert.equal(decision.origin, "data-directory");
  assert.equal(await bed.say(decision), "hello");
  assert.equal(bed.request.known.recall(bed.address), null);
});

test("passes over the data directory of another cluster on this machine", async (t) => {
  const bed = await start(t);
  const other = await start(t);
  const dataDirectories = [dataDirectory(other), dataDirectory(bed)];
  const decision = await decideTrust({ ...bed.request, dataDirectories });
  assert.equal(await bed.say(decision), "hello");
});

test("does not look into data directories for another machine", async (t) => {
  const bed = await start(t);
  const request = { ...bed.request, address: "192.0.2.1:1", dataDirectories: [dataDirectory(bed)], caPin: undefined };
  bed.request.known.remember("192.0.2.1:1", [bed.authority.certificatePem]);
  assert.equal((await decideTrust(request)).origin, "remembered");
});

test("passes over a data directory whose CA file others may write", async (t) => {
  const bed = await start(t);
  const directory = dataDirectory(bed);
  chmodSync(join(directory, HOST_CA_FILE), 0o666);
  await assert.rejects(decideTrust({ ...bed.request, dataDirectories: [directory] }), (error) =>
    isMezError(error, "SERVER_NOT_TRUSTED"),
  );
});

test("trusts what the system trusts", async (t) => {
  const bed = await start(t);
  const systemAuthorities = () => [bed.authority.certificatePem];
  const decision = await decideTrust({ ...bed.request, systemAuthorities });
  assert.equal(decision.origin, "system");
  assert.equal(await bed.say(decision), "hello");
});

test("names the names of a certificate that is made for others", async (t) => {
  const bed = await start(t, { name: "auth.example.com" });
  const caFile = join(bed.folder, "ca.pem");
  writeFileSync(caFile, bed.authority.certificatePem);
  const decision = await decideTrust({ ...bed.request, caFile });
  await assert.rejects(
    bed.say(decision),
    (error) => isMezError(error, "SERVER_NOT_TRUSTED") && error.message.includes("auth.example.com, not for localhost"),
  );
});

test("says that a server is out of reach when it is", async (t) => {
  const bed = await start(t);
  await bed.server.close();
  await assert.rejects(decideTrust(bed.request), (error) => isMezError(error, "UNAVAILABLE"));
});

for (const text of ["", "sha256:", "md5:abc", `sha256:${"a".repeat(63)}`, `sha256:${"g".repeat(64)}`]) {
  test(`refuses "${text}" as a pin`, () =>
    assert.throws(
      () => parsePin(text),
      (error) => isMezError(error, "INVALID_ARGUMENT"),
    ));
}

test("reads a pin with colons and capitals", () => {
  assert.equal(parsePin(`SHA256:${"AB:".repeat(31)}CD`), `sha256:${"ab".repeat(31)}cd`);
});

test("writes a remembered CA whole", (t) => {
  const folder = temporaryFolder(t);
  const known = new KnownAuthorities(join(folder, ".mezite"));
  known.remember("[::1]:3025", ["one\n", "two\n"]);
  assert.equal(readFileSync(known.fileFor("[::1]:3025"), "utf8"), "one\ntwo\n");
  assert.doesNotMatch(known.fileFor("../../x:1").slice(folder.length), /\.\.\//);
});

// --- internal ---

interface Bed {
  readonly server: RpcServer;
  readonly address: string;
  readonly authority: TestAuthority;
  readonly folder: string;
  readonly request: TrustRequest;
  readonly warnings: string[];
  readonly calls: CallContext[];
  /** One call under a decision. */
  say(decision: Awaited<ReturnType<typeof decideTrust>>, token?: string): Promise<string>;
}

interface BedOptions {
  readonly name?: string;
  readonly showAuthority?: boolean;
  /** A CA that the server shows behind its leaf, though it did not sign it. */
  readonly shownInstead?: TestAuthority;
}

async function start(t: TestContext, { name = "localhost", showAuthority = true, shownInstead }: BedOptions = {}): Promise<Bed> {
  const folder = temporaryFolder(t);
  const authority = await testAuthority();
  const calls: CallContext[] = [];
  const server = new RpcServer({
    router: () => ({
      permission: "public",
      holders: [],
      handler: async (request: unknown, call) => {
        calls.push(call);
        return { text: (request as Text).text };
      },
      lease: () => () => undefined,
    }),
    authenticators: () => [{ authenticate: async () => null }],
    authorizer: () => ({ refusal: () => null }),
    anonymousCalls: new AnonymousCallLimiter({ burst: 100, perSecond: 10 }, systemClock),
    audit: () => undefined,
    logger: silentLogger,
  });
  server.serve(ECHO_SERVICE as unknown as RpcService<RpcDefinition>);
  const leaf = await authority.issue(name);
  const listening = await server.listen("localhost:0", {
    ...leaf,
    certificatePem: `${leaf.certificatePem}\n${shownInstead?.certificatePem ?? ""}`,
    trustPem: showAuthority && shownInstead === undefined ? leaf.trustPem : [(await testAuthority("Elsewhere")).certificatePem],
    name: "auth",
    id: "0",
    role: "auth",
    sshPrivateKey: new Secret(""),
    sshCertificate: Buffer.alloc(0),
    expiresAt: new Date(),
  });
  t.after(() => server.close());
  const address = `localhost:${listening.slice(listening.lastIndexOf(":") + 1)}`;
  const warnings: string[] = [];
  const request: TrustRequest = {
    address,
    insecure: false,
    caFile: undefined,
    caPin: undefined,
    known: new KnownAuthorities(join(folder, ".mezite")),
    dataDirectories: [],
    systemAuthorities: () => [],
    fetchAuthorities: async () => [],
    ask: null,
    warn: (text) => void warnings.push(text),
  };
  const say: Bed["say"] = async (decision, token) => {
    const dialled = grpcDialer.dial({
      addresses: [address],
      trust: decision.trust,
      ...(token === undefined ? {} : { token: new Secret(token) }),
    });
    const connection = new TrustedConnection(dialled, [address], decision);
    t.after(() => connection.close());
    return (await connection.client(ECHO).say({ text: "hello" })).text;
  };
  return { server, address, authority, folder, request, warnings, calls, say };
}

function dataDirectory({ folder, authority }: Bed): string {
  const directory = join(folder, "data");
  mkdirSync(directory, { mode: 0o700 });
  writeFileSync(join(directory, HOST_CA_FILE), authority.certificatePem, { mode: 0o644 });
  return directory;
}

function temporaryFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "mezite-trust-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

function hintOf(error: MezError): string {
  return String(error.fields["hint"] ?? "");
}
