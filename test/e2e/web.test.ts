import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { Cluster } from "../fixtures/cluster.js";
import { eventually } from "../fixtures/eventually.js";
import { freePorts } from "../fixtures/free-ports.js";
import { IdentityMachine } from "../fixtures/identity-machine.js";
import { RELYING_PARTY_PEERS, verifyToken } from "../fixtures/relying-party.js";
import { testAuthority } from "../fixtures/tls.js";
import { askOnce } from "../fixtures/workload-program.js";
import { needsPeers, requirePeer } from "../peers/require-peer.js";

for (const proxy of ["together", "apart"] as const) {
  describe(
    `the web server of a proxy, auth service and proxy ${proxy}`,
    needsPeers("curl", "openssl", "ssh", ...RELYING_PARTY_PEERS),
    () => {
      let cluster: Cluster;
      let port: number;
      let caFile: string;
      /** Of somebody who logged in through the one port. */
      let home: string;
      const files = (): { certificate: string; key: string } => ({
        certificate: join(cluster.folder, "web.pem"),
        key: join(cluster.folder, "web.key"),
      });
      /** Output of curl; with what it prints for `format` after it. */
      const curl = (url: string, flags: readonly string[] = [], trusted = caFile) =>
        cluster.run(requirePeer("curl"), ["-sS", "--max-time", "60", "--cacert", trusted, ...flags, url]);

      before(async () => {
        port = (await freePorts(1))[0] as number;
        cluster = await Cluster.start({
          ...{ proxy, node: "none" },
          config: {
            proxy: { public_listen_addr: `localhost:${port}` },
            authentication: { ssh_proxy_address: `localhost:${port}` },
            plugins: { "spiffe-bundle": { config: { jwt_issuer: `https://localhost:${port}` } } },
          },
        });
        caFile = join(cluster.folder, "host-ca.pem");
        home = join(cluster.folder, "home-far");
        mkdirSync(home, { mode: 0o700 });
        const input = `${cluster.adminPassword}\n`;
        cluster.mshOk(["login", "--user=admin", "--password-stdin", `--auth-server=localhost:${port}`], { home, input });
        writeFileSync(caFile, cluster.mezctlOk(["ca", "export", "--type=host", "--form=pem"]));
      });
      after(() => cluster.stop());

      test("mezd health asks the web server, the one port and the auth service, and says what is not there", async () => {
        const health = (at: number) => {
          const { code, stdout, stderr } = cluster.mezd([
            "health",
            `--address=localhost:${at}`,
            `--ca-file=${caFile}`,
            "--timeout=60s",
          ]);
          return [code, stdout + stderr];
        };
        assert.deepEqual(health(cluster.ports.web), [0, `the proxy at localhost:${cluster.ports.web} is ready\n`]);
        assert.deepEqual(health(port), [0, `the proxy at localhost:${port} is ready\n`]);
        assert.deepEqual(health(cluster.ports.auth), [0, `the auth service at localhost:${cluster.ports.auth} is ready\n`]);
        const [free] = await freePorts(1);
        const [code, said] = health(free as number);
        assert.equal(code, 7);
        assert.match(String(said), /is not ready: .*ECONNREFUSED/);
      });

      test("answers on its own port and on the one port, under the certificate of the cluster", () => {
        for (const at of [cluster.ports.web, port]) {
          const { code, stdout, stderr } = curl(`https://localhost:${at}/v1/webapi/ping`);
          assert.equal(code, 0, stderr);
          assert.equal((JSON.parse(stdout) as { cluster_name: string }).cluster_name, "test");
          assert.equal(curl(`https://localhost:${at}/readyz`).stdout, '{"status":"ok"}');
        }
        const shown = cluster.run("openssl", [
          "s_client",
          "-connect",
          `localhost:${port}`,
          "-CAfile",
          caFile,
          "-verify_return_error",
        ]);
        assert.match(shown.stdout, /Verify return code: 0 \(ok\)/);
      });

      test("a browser, which offers h2 as well, gets HTTP/1.1, and a client of gRPC its server", () => {
        const { stdout } = curl(`https://localhost:${port}/`, [
          "--http2",
          "-o",
          "/dev/null",
          "-w",
          "%{http_version} %{http_code}",
        ]);
        assert.equal(stdout, "1.1 200");
        assert.match(cluster.mezctlOk(["users", "ls", `--auth-server=localhost:${port}`], { home }), /admin/);
      });

      test("ssh, gRPC, tunnels and the web share the port at one time", async () => {
        const flags = [
          `--auth-server=localhost:${port}`,
          `--proxy=localhost:${port}`,
          `--data-dir=${join(cluster.folder, "edge")}`,
        ];
        const node = cluster.daemon(["node", "--name=edge", ...flags], { MEZITE_JOIN_TOKEN: cluster.joinToken("node") });
        await node.printed(/tunnel/);
        const target = `${cluster.login}@edge`;
        await eventually(() => cluster.ssh([target, "true"]).code === 0);
        const session = spawn("ssh", ["-F", cluster.sshConfig(), target, "cat"], { env: cluster.environment() });
        const lines: string[] = [];
        session.stdout.setEncoding("utf8").on("data", (text: string) => void lines.push(text));
        const all = Array.from({ length: 10 }, (_, index) =>
          Promise.all([
            cluster.mezctlMeanwhile(["nodes", "ls", `--auth-server=localhost:${port}`], { home }),
            outputOf(requirePeer("curl"), ["-sS", "--cacert", caFile, `https://localhost:${port}/v1/webapi/ping`]),
            Promise.resolve(session.stdin.write(`line ${index}\n`)),
          ]),
        );
        for (const [list, ping] of await Promise.all(all)) {
          assert.equal(list.code, 0, list.stderr);
          assert.match(ping, /"cluster_name":"test"/);
        }
        session.stdin.end();
        await once(session, "close");
        assert.equal(lines.join(""), Array.from({ length: 10 }, (_, index) => `line ${index}\n`).join(""));
        await node.stop();
      });

      test("knows where the client is, also on the one port", async () => {
        curl(`https://127.0.0.1:${port}/v1/webapi/ping`, ["--interface", "127.0.0.9"]);
        const daemon = proxy === "apart" ? cluster.proxy : cluster.server;
        await daemon?.printed(/"address":"127\.0\.0\.9".*"route":"GET \/v1\/webapi\/ping"/);
      });

      test("answers to no name of somebody else", () => {
        const { stdout } = curl(`https://localhost:${port}/`, ["-H", "Host: rebound.example.net", "-w", "%{http_code}"]);
        assert.match(stdout, /"code":"MISDIRECTED_REQUEST".*421$/);
      });

      test("publishes the keys of SVIDs, and a rotation shows at once", async () => {
        const bundle = () => JSON.parse(curl(`https://localhost:${port}/v1/webapi/spiffe/bundle`).stdout) as Bundle;
        const uses = () => bundle().keys.map(({ use }) => use);
        assert.deepEqual(uses(), ["x509-svid", "jwt-svid"]);
        const before = bundle().spiffe_sequence;
        cluster.mezctlOk(["ca", "rotate", "--type=spiffe"]);
        await eventually(() => uses().length === 4);
        assert.ok(bundle().spiffe_sequence > before);
        cluster.mezctlOk(["ca", "rollback", "--type=spiffe"]);
        await eventually(() => uses().length === 2);
        const issuer = `https://localhost:${port}`;
        const found = JSON.parse(curl(`https://localhost:${port}/.well-known/openid-configuration`).stdout) as Record<
          string,
          unknown
        >;
        assert.deepEqual([found.issuer, found.jwks_uri], [issuer, `${issuer}/.well-known/jwks.json`]);
        const keySet = JSON.parse(curl(`https://localhost:${port}/.well-known/jwks.json`).stdout) as Bundle;
        assert.deepEqual(
          keySet.keys.map(({ use, alg }) => [use, alg]),
          [["sig", "ES256"]],
        );
      });

      test("a token that a program gets from the Workload API is verified by its issuer alone", async () => {
        IdentityMachine.createRole(cluster);
        const machine = new IdentityMachine(cluster, "payer");
        const socket = join(cluster.folder, "run", "workload.sock");
        const daemon = machine.start([`--workload-socket=${socket}`], IdentityMachine.create(cluster, "payer"));
        const file = join(cluster.folder, "payments.yaml");
        const selectors = { agent_identities: ["payer"], unix: { uid: process.getuid?.() } };
        const spec = { spiffe_id: "/payments", selectors };
        writeFileSync(file, JSON.stringify({ kind: "workload_identity", version: "v1", metadata: { name: "payments" }, spec }));
        cluster.mezctlOk(["workload-identities", "create", `--from-file=${file}`]);
        await daemon.printed(/workload/i);
        const ask = async () =>
          (await askOnce(socket, { method: "fetchJwtsvid", request: { audience: ["db"] } })).svids?.[0]?.svid;
        const token = await eventually(ask);
        const claims = await verifyToken(token, `https://localhost:${port}`, "db", caFile);
        assert.deepEqual([claims.sub, claims.iss], ["spiffe://test/payments", `https://localhost:${port}`]);
        await daemon.stop();
      });

      test("knows people by the token of their session, until it ends", () => {
        const input = `${cluster.adminPassword}\n`;
        const token = cluster.mezctlOk(["login", "--user=admin", "--password-stdin"], { input }).trim();
        const header = join(cluster.folder, "header");
        writeFileSync(header, `authorization: Bearer ${token}\n`, { mode: 0o600 });
        const session = (...flags: readonly string[]) =>
          curl(`https://localhost:${port}/v1/webapi/session`, [
            "-H",
            `@${header}`,
            "-w",
            "\n%{http_code}",
            ...flags,
          ]).stdout.split("\n");
        const [body = "", status] = session();
        assert.equal(status, "200", body);
        assert.equal((JSON.parse(body) as { user_name: string }).user_name, "admin");
        assert.deepEqual(session("-X", "DELETE"), ["", "204"]);
        assert.match(session().join(), /"code":"UNAUTHENTICATED".*,401$/);
      });

      if (proxy === "together")
        test("the routes of a plugin come and go with it", () => {
          const status = () =>
            curl(`https://localhost:${port}/.well-known/jwks.json`, ["-o", "/dev/null", "-w", "%{http_code}"]).stdout;
          cluster.mezctlOk(["plugins", "disable", "spiffe-bundle"]);
          assert.equal(status(), "404");
          cluster.mezctlOk(["plugins", "enable", "spiffe-bundle"]);
          assert.equal(status(), "200");
        });

      if (proxy === "apart")
        test("publishes what it knows while the auth service is away", async () => {
          assert.equal(await cluster.server.stop(), 0);
          assert.equal(
            curl(`https://localhost:${port}/.well-known/jwks.json`, ["-o", "/dev/null", "-w", "%{http_code}"]).stdout,
            "200",
          );
          await cluster.startServer();
        });

      test("is closed with the proxy", async () => {
        const daemon = proxy === "apart" ? cluster.proxy : cluster.server;
        assert.equal(await daemon?.stop(), 0);
        const [error] = (await once(connect({ host: "127.0.0.1", port: cluster.ports.web }), "error")) as [NodeJS.ErrnoException];
        assert.equal(error.code, "ECONNREFUSED");
      });

      if (proxy === "together")
        test("shows a certificate that browsers know, and a new one without a restart", async () => {
          const authority = await testAuthority("Public CA");
          const trusted = join(cluster.folder, "public-ca.pem");
          writeFileSync(trusted, authority.certificatePem);
          const write = async (name: string): Promise<void> => {
            const { certificatePem, privateKeyPem } = await authority.issue(name);
            writeFileSync(files().certificate, certificatePem);
            writeFileSync(files().key, privateKeyPem.expose(), { mode: 0o600 });
          };
          const asked = (name: string) =>
            curl(`https://${name}:${port}/v1/webapi/ping`, ["--resolve", `${name}:${port}:127.0.0.1`], trusted);
          await write("one.example.com");
          const config = JSON.parse(readFileSync(cluster.configFile, "utf8")) as { proxy: Record<string, unknown> };
          config.proxy.web_tls = files();
          writeFileSync(cluster.configFile, JSON.stringify(config));
          chmodSync(files().key, 0o644);
          const { code, stderr } = cluster.mezd(["start", `--config=${cluster.configFile}`]);
          assert.notEqual(code, 0);
          assert.match(stderr, /web_tls\.key .*: others may read or change it; chmod o= it/);
          chmodSync(files().key, 0o600);
          await cluster.startServer();
          assert.match(asked("one.example.com").stdout, /"cluster_name":"test"/);
          await write("two.example.com");
          await eventually(() => asked("two.example.com").stdout.includes('"cluster_name":"test"'));
          copyFileSync(trusted, files().certificate);
          await cluster.server.printed(/the web certificate stays as it is: .*it is not the key of the certificate/);
          assert.match(asked("two.example.com").stdout, /"cluster_name":"test"/);
        });
    },
  );
}

// --- internal ---

interface Bundle {
  readonly keys: readonly { readonly use: string; readonly alg?: string }[];
  readonly spiffe_sequence: number;
}

async function outputOf(program: string, args: readonly string[]): Promise<string> {
  const child = spawn(program, args, { stdio: ["ignore", "pipe", "inherit"] });
  let output = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    output += text;
  });
  await once(child, "close");
  return output;
}
