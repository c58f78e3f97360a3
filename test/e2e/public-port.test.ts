import assert from "node:assert/strict";
import { once } from "node:events";
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { connect as connectTls, type TLSSocket } from "node:tls";
import { closed } from "../fixtures/closed.js";
import { Cluster } from "../fixtures/cluster.js";
import { eventually } from "../fixtures/eventually.js";
import { freePorts } from "../fixtures/free-ports.js";
import { IdentityMachine } from "../fixtures/identity-machine.js";
import { needsPeers } from "../peers/require-peer.js";

/** Where the client behind `Detour` is. */
const FAR_ADDRESS = "127.0.0.9";
const WRONG_PASSWORD = "not the password 1\n";

for (const proxy of ["apart", "together"] as const) {
  describe(`one port for everything, auth service and proxy ${proxy}`, needsPeers("ssh", "openssl"), () => {
    let cluster: Cluster;
    let port: number;
    let address: string;
    let home: string;
    let target: string;
    before(async () => {
      port = (await freePorts(1))[0] as number;
      address = `localhost:${port}`;
      cluster = await Cluster.start({
        ...{ node: "none", proxy },
        config: { proxy: { public_listen_addr: `127.0.0.1:${port}` }, authentication: { ssh_proxy_address: address } },
      });
      target = `${cluster.login}@edge`;
      home = join(cluster.folder, "home-alice");
      mkdirSync(home, { mode: 0o700 });
    });
    after(() => cluster.stop());

    test("a node joins through it and opens its tunnel there", async () => {
      const flags = [`--auth-server=${address}`, `--proxy=${address}`, `--data-dir=${join(cluster.folder, "edge")}`];
      const daemon = cluster.daemon(["node", "--name=edge", "--labels=env=test", ...flags], {
        MEZITE_JOIN_TOKEN: cluster.joinToken("node"),
      });
      await daemon.printed(/tunnel/);
      await eventually(() => /edge.*online/.test(cluster.mezctlOk(["nodes", "ls"])));
    });

    test("msh logs in through it; mezctl and ssh work with what that leaves", async () => {
      const input = "password of alice 1\n";
      const flags = ["--password-stdin", "--roles=access", `--logins=${cluster.login}`];
      cluster.mezctlOk(["users", "create", "alice", ...flags], { input });
      cluster.mshOk(["login", "--user=alice", "--password-stdin", `--auth-server=${address}`], { home, input });
      assert.match(readFileSync(cluster.sshConfig({ home }), "utf8"), new RegExp(`Port ${port}\\b`));
      await eventually(() => cluster.ssh([target, "true"], { home }).code === 0);
      const { code, stdout, stderr } = cluster.ssh([target, "echo here; exit 5"], { home });
      assert.deepEqual([code, stdout, stderr], [5, "here\n", ""]);
      assert.match(cluster.mezctlOk(["nodes", "ls", `--auth-server=${address}`], { home }), /edge.*online/);
    });

    test("ssh goes inside of TLS, where nothing else gets through", () => {
      const wrapped = `openssl s_client -quiet -connect ${address} -alpn mezite-ssh -servername localhost`;
      const config = readFileSync(cluster.sshConfig({ home }), "utf8");
      const jump = /^Host (mezite-proxy\S*)/m.exec(config)?.[1] as string;
      const { code, stderr } = cluster.ssh(["-o", `ProxyCommand=${wrapped}`, jump], { home });
      assert.equal(code, 1, stderr);
      assert.match(stderr, /this is the mezite proxy; ssh to a node through it/);
    });

    test("a machine gets its certificates through it", () => {
      IdentityMachine.createRole(cluster);
      const machine = new IdentityMachine(cluster, "deploy");
      const token = IdentityMachine.create(cluster, "deploy");
      const flags = [`--auth-server=${address}`, `--destination-dir=${machine.destination}`, "--one-shot"];
      const { code, stderr } = cluster.mezd(["identity", "start", ...flags], { env: { MEZITE_IDENTITY_TOKEN: token } });
      assert.equal(code, 0, stderr);
      assert.ok(existsSync(join(machine.destination, "ssh_cert")));
    });

    test("the audit log shows where a client is", async () => {
      const detour = await Detour.open(port);
      try {
        const flags = ["--user=mallory", "--password-stdin", `--auth-server=localhost:${detour.port}`];
        const { code } = await cluster.mezctlMeanwhile(["login", ...flags], { input: WRONG_PASSWORD });
        assert.notEqual(code, 0);
      } finally {
        detour.close();
      }
      const events = cluster.mezctlOk(["audit", "ls", "--user=mallory", "--format=json"]);
      assert.ok(events.includes(`"${FAR_ADDRESS}"`), events);
    });

    test("garbage is closed, and disturbs nobody", async () => {
      for (const garbage of [
        "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        "\x16\x03\x01\x40\x01",
        "\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00",
        "\0",
      ]) {
        const socket = connect({ host: "127.0.0.1", port }).on("error", () => {});
        socket.write(garbage, "latin1");
        await closed(socket);
      }
      const web = connectTls({ host: "127.0.0.1", port, ALPNProtocols: ["h3"], rejectUnauthorized: false });
      const [error] = (await once(web, "error")) as [NodeJS.ErrnoException];
      assert.match(error.code ?? "", /NO_APPLICATION_PROTOCOL/);
      assert.equal(cluster.ssh([target, "true"], { home }).code, 0);
    });

    test("a node passes no connections on to the auth service", async () => {
      const own = hostCredentials(join(cluster.folder, "edge"), "node");
      const refused = await relayConnection(cluster.ports.auth, own);
      refused.write(`PROXY TCP4 192.0.2.7 192.0.2.1 5022 ${port}\r\n`);
      await closed(refused);
      await cluster.server.printed(/only proxies of the cluster pass connections on.*relayed connection refused/);
    });

    // Together with the auth service it keeps no certificate on disk.
    if (proxy === "apart")
      test("a proxy does", async () => {
        const { ca } = hostCredentials(join(cluster.folder, "edge"), "node");
        const accepted = await relayConnection(cluster.ports.auth, hostCredentials(join(cluster.folder, "proxy"), "proxy"));
        accepted.write(`PROXY TCP4 192.0.2.7 192.0.2.1 5022 ${port}\r\n`);
        const inner = connectTls({ socket: accepted, servername: "localhost", ca, ALPNProtocols: ["h2"] });
        await once(inner, "secureConnect");
        assert.equal(inner.alpnProtocol, "h2");
        inner.destroy();
      });

    if (proxy === "apart")
      test("calls through it fail while the auth service is away, sessions do not, and all is well when it is back", async () => {
        assert.equal(await cluster.server.stop(), 0);
        const away = cluster.mezctl(["nodes", "ls", `--auth-server=${address}`], { home });
        assert.equal(away.code, 7, away.stderr);
        assert.match(away.stderr, new RegExp(`^mezctl: cannot reach the auth service at ${address}: .+\\n$`));
        assert.equal(cluster.ssh([target, "true"], { home }).code, 0);
        await cluster.proxy?.printed(/cannot reach the auth service at localhost:\d+: connection refused/);
        await cluster.startServer();
        const list = () => cluster.mezctl(["nodes", "ls", `--auth-server=${address}`], { home }).stdout;
        await eventually(() => /edge.*online/.test(list()));
      });

    test("the port is closed with the proxy", async () => {
      if (proxy === "apart") assert.equal(await cluster.proxy?.stop(), 0);
      else assert.equal(await cluster.server.stop(), 0);
      const [error] = (await once(connect({ host: "127.0.0.1", port }), "error")) as [NodeJS.ErrnoException];
      assert.equal(error.code, "ECONNREFUSED");
    });
  });
}

// --- internal ---

/** A port whose connections reach another one from `FAR_ADDRESS`. */
class Detour {
  readonly #sockets = new Set<Socket>();

  private constructor(private readonly server: Server) {}

  static async open(to: number): Promise<Detour> {
    const server = createServer().listen(0, "localhost");
    const detour = new Detour(server);
    server.on("connection", (near) => {
      const far = connect({ host: "127.0.0.1", port: to, localAddress: FAR_ADDRESS });
      for (const [one, other] of [
        [near, far],
        [far, near],
      ] as const) {
        detour.#sockets.add(one);
        one.on("error", () => other.destroy()).pipe(other);
      }
    });
    await once(server, "listening");
    return detour;
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  close(): void {
    this.server.close();
    for (const socket of this.#sockets) socket.destroy();
  }
}

interface TlsCredentials {
  readonly cert: string;
  readonly key: string;
  readonly ca: string[];
}

/** The credentials that a process keeps in its data directory. */
function hostCredentials(dataDirectory: string, role: string): TlsCredentials {
  const stored = JSON.parse(readFileSync(join(dataDirectory, role, "host-identity.json"), "utf8")) as {
    readonly certificatePem: string;
    readonly privateKeyPem: string;
    readonly trustPem: string[];
  };
  return { cert: stored.certificatePem, key: stored.privateKeyPem, ca: stored.trustPem };
}

async function relayConnection(port: number, credentials: TlsCredentials): Promise<TLSSocket> {
  const socket = connectTls({ host: "localhost", port, ...credentials, ALPNProtocols: ["mezite-relay"] });
  await once(socket, "secureConnect");
  return socket.on("error", () => {});
}
