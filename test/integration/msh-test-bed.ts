import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough, Readable } from "node:stream";
import type { TestContext } from "node:test";
import { USER_COMMANDS } from "../../cli/msh/commands.js";
import { connectAsUser } from "../../cli/msh/user-connection.js";
import { MSH_FLAGS } from "../../core/cli/global-flags.js";
import { runProgram } from "../../core/cli/program.js";
import type { ProgramIo } from "../../core/cli/program-io.js";
import { MezError } from "../../core/errors/error.js";
import type { Caller } from "../../core/plugin/caller.js";
import type { RpcDefinition, RpcHandlers, RpcService } from "../../core/plugin/rpc.js";
import { Secret } from "../../core/plugin/secret.js";
import { AnonymousCallLimiter } from "../../core/rpc/interceptors/limit.js";
import { RpcServer } from "../../core/rpc/server.js";
import { HOST_CA_FILE } from "../../core/rpc/trust.js";
import { issueCertificate } from "../../core/ssh/certificate-issue.js";
import { generateSshKeyPair } from "../../core/ssh/private-key.js";
import { systemClock } from "../../core/time/clock.js";
import { AuthenticationServiceService } from "../../proto/gen/mezite/authentication/v1/authentication.js";
import { silentLogger } from "../fixtures/silent-logger.js";
import { type TestAuthority, testAuthority } from "../fixtures/tls.js";

const ALICE: Caller = {
  kind: "user",
  name: "alice",
  roles: ["access"],
  traits: { internal: {}, external: {} },
  sessionId: "s1",
  mustChangePassword: false,
};

/** A fake auth service: knows alice, signs her keys with a CA of its own, and counts what it is asked. */
export interface MshTestBed {
  readonly address: string;
  readonly authority: TestAuthority;
  /** Home of the person; holds `.mezite` after a login. */
  readonly home: string;
  readonly calls: string[];
  /** What may be changed between commands. */
  readonly server: { password: string; oneTime: boolean; certificateSeconds: number; logins: string[]; clusterName: string };
  run(
    args: readonly string[],
    world?: MshWorld,
  ): Promise<{ readonly code: number; readonly stdout: string; readonly stderr: string }>;
  stop(): Promise<void>;
}

export interface MshWorld {
  readonly env?: Readonly<Record<string, string>>;
  readonly stdin?: string;
  readonly now?: Date;
}

export async function mshTestBed(t: TestContext): Promise<MshTestBed> {
  const home = mkdtempSync(join(tmpdir(), "mezite-msh-"));
  t.after(() => rmSync(home, { recursive: true, force: true }));
  const authority = await testAuthority();
  const dataDirectory = join(home, "data");
  mkdirSync(dataDirectory, { mode: 0o700 });
  writeFileSync(join(dataDirectory, HOST_CA_FILE), authority.certificatePem, { mode: 0o644 });
  const state: MshTestBed["server"] = {
    password: "right",
    oneTime: false,
    certificateSeconds: 3600,
    logins: ["deploy"],
    clusterName: "dev",
  };
  const calls: string[] = [];
  const server = fakeAuthService(state, calls, authority);
  const leaf = await authority.issue("localhost");
  const listening = await server.listen("localhost:0", {
    ...leaf,
    name: "auth",
    id: "0",
    role: "auth",
    sshPrivateKey: new Secret(""),
    sshCertificate: Buffer.alloc(0),
    expiresAt: new Date(),
  });
  const address = `localhost:${listening.slice(listening.lastIndexOf(":") + 1)}`;
  let running = true;
  const stop = async (): Promise<void> => {
    if (running) await server.close();
    running = false;
  };
  t.after(stop);
  return {
    address,
    authority,
    home,
    calls,
    server: state,
    stop,
    run: (args, world = {}) =>
      runMsh(args, { ...world, env: { MEZITE_DATA_DIR: dataDirectory, PATH: process.env.PATH ?? "", ...world.env } }, home),
  };
}

// --- internal ---

const PERMISSIONS = {
  ping: "public",
  authenticateLocal: "public",
  changePassword: "password:update",
  getSession: "login-session:read",
  logout: "login-session:delete",
  issueUserCerts: "user-certificate:create",
} as const;

function fakeAuthService(state: MshTestBed["server"], calls: string[], authority: TestAuthority): RpcServer {
  const userCa = generateSshKeyPair();
  const hostCa = generateSshKeyPair();
  const soon = (): Date => new Date(Date.now() + state.certificateSeconds * 1000);
  const handlers: RpcHandlers<typeof AuthenticationServiceService> = {
    ping: async () => ({ clusterName: state.clusterName, version: "1", time: new Date() }),
    authenticateLocal: async ({ userName, password, newPassword }) => {
      if (userName !== "alice" || password !== state.password) throw new MezError("INVALID_CREDENTIALS", "invalid credentials");
      if (newPassword !== "") Object.assign(state, { password: newPassword, oneTime: false });
      return { token: "alice-session", expiresAt: soon(), mustChangePassword: state.oneTime, notice: "", demands: [] };
    },
    changePassword: async () => ({}),
    getSession: async () => ({
      userName: "alice",
      roles: ["access"],
      logins: state.logins,
      expiresAt: soon(),
      sessionId: "s1",
      clusterName: state.clusterName,
    }),
    logout: async () => ({}),
    issueUserCerts: async ({ sshPublicKey, ttlSeconds }) => ({
      sshCertificate: issueCertificate(
        {
          role: "user",
          subjectBlob: Buffer.from(sshPublicKey),
          serial: 1n,
          keyId: "alice",
          principals: state.logins,
          validAfter: new Date(Date.now() - 60_000),
          validBefore: soon(),
        },
        userCa,
      ),
      x509Certificate: authority.certificatePem,
      expiresAt: soon(),
      logins: state.logins,
      notice: ttlSeconds > 86_400 ? "shorter than asked for: 24h is the most" : "",
      demands: [],
      clusterName: state.clusterName,
      hostCaKeys: [hostCa.publicKeyBlob],
      hostCaCertificates: [authority.certificatePem],
      proxyAddress: "localhost:4023",
    }),
  };
  const service = {
    name: "mezite.authentication.v1.AuthenticationService",
    definition: AuthenticationServiceService,
    permissions: PERMISSIONS,
  };
  const server = new RpcServer({
    router: (_service, method) => ({
      permission: PERMISSIONS[method as keyof typeof PERMISSIONS],
      holders: ["session"],
      handler: (request: unknown, call) => {
        calls.push(method);
        return (handlers[method as keyof typeof PERMISSIONS] as (request: unknown, call: unknown) => Promise<unknown>)(
          request,
          call,
        );
      },
      lease: () => () => undefined,
    }),
    authenticators: () => [{ authenticate: async ({ bearerToken }) => (bearerToken === "alice-session" ? ALICE : null) }],
    authorizer: () => ({ refusal: () => null }),
    anonymousCalls: new AnonymousCallLimiter({ burst: 100, perSecond: 10 }, systemClock),
    audit: () => undefined,
    logger: silentLogger,
  });
  server.serve(service as unknown as RpcService<RpcDefinition>);
  return server;
}

async function runMsh(
  args: readonly string[],
  { env = {}, stdin = "", now }: MshWorld,
  home: string,
): Promise<{ code: number; stdout: string; stderr: string }> {
  const printed = { stdout: "", stderr: "" };
  const stream = (name: "stdout" | "stderr") =>
    new PassThrough().on("data", (chunk: Buffer) => {
      printed[name] += chunk.toString();
    });
  const io: ProgramIo = {
    args,
    env,
    stdin: Readable.from(stdin === "" ? [] : [Buffer.from(stdin)]),
    stdout: stream("stdout"),
    stderr: stream("stderr"),
    homeDirectory: home,
    now: () => now ?? new Date(),
    onStop: () => () => undefined,
  };
  const code = await runProgram(
    {
      binary: "msh",
      version: "1",
      summary: "Reach machines",
      commands: USER_COMMANDS,
      globals: MSH_FLAGS,
      connect: connectAsUser,
    },
    io,
  );
  return { code, ...printed };
}
