import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { existsSync, writeFileSync } from "node:fs";
import { type AddressInfo, type NetConnectOpts, type Server } from "node:net";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { Cluster } from "../fixtures/cluster.js";
import { echoes, echoServer } from "../fixtures/echo-server.js";
import { eventually } from "../fixtures/eventually.js";
import { freePorts } from "../fixtures/free-ports.js";
import { socks5 } from "../fixtures/socks5.js";
import { SshSession } from "../fixtures/ssh-session.js";
import { needsPeers } from "../peers/require-peer.js";
import { startSshAgent } from "../peers/ssh-agent.js";

const REFUSED = /open failed: administratively prohibited: (port|socket) forwarding is not allowed/;
const STRICT = ["-o", "ExitOnForwardFailure=yes"];

describe(
  "the options of a person's roles, with OpenSSH through proxy and node",
  needsPeers("ssh", "scp", "sftp", "rsync", "ssh-keygen"),
  () => {
    let cluster: Cluster;
    let target: string;
    /** May forward and copy. */
    let free: string;
    /** May do neither. */
    let bound: string;
    let echo: Server;
    let echoPort: number;

    before(async () => {
      cluster = await Cluster.start({ node: "apart" });
      target = `${cluster.login}@${cluster.nodeName}`;
      cluster.createRole("free", { max_session_ttl: "30m" });
      cluster.createRole("bound", { port_forwarding: false, file_copy: false });
      free = cluster.person("fay", ["--roles=free"]);
      bound = cluster.person("ben", ["--roles=bound"]);
      echo = await echoServer();
      echoPort = (echo.address() as AddressInfo).port;
    });
    after(async () => {
      echo?.close();
      await cluster?.stop();
    });

    /** The flags of each kind of forwarding to the echo server, and where it listens. */
    async function forwardings(
      folder: string,
    ): Promise<readonly (readonly [kind: string, flags: readonly string[], door: NetConnectOpts])[]> {
      const [local = 0, remote = 0] = await freePorts(2);
      const [localSocket, remoteSocket] = [join(folder, "local.sock"), join(folder, "remote.sock")];
      return [
        ["-L with a port", ["-L", `${local}:127.0.0.1:${echoPort}`], { port: local, host: "127.0.0.1" }],
        ["-R with a port", ["-R", `${remote}:127.0.0.1:${echoPort}`], { port: remote, host: "127.0.0.1" }],
        ["-L with a unix socket", ["-L", `${localSocket}:127.0.0.1:${echoPort}`], { path: localSocket }],
        ["-R with a unix socket", ["-R", `${remoteSocket}:127.0.0.1:${echoPort}`], { path: remoteSocket }],
      ];
    }

    test("port_forwarding lets local, remote and unix-socket forwarding through", async () => {
      const kinds = await forwardings(free);
      const session = await SshSession.open(cluster, target, [...STRICT, ...kinds.flatMap(([, flags]) => flags)], { home: free });
      for (const [kind, , door] of kinds) assert.ok(await echoes(door), kind);
      await session.close();
    });

    test("port_forwarding lets a local port through to a unix socket of the node", async () => {
      const path = join(free, "echo.sock");
      const server = await echoServer(path);
      const [port = 0] = await freePorts(1);
      const session = await SshSession.open(cluster, target, [...STRICT, "-L", `${port}:${path}`], { home: free });
      assert.ok(await echoes({ port, host: "127.0.0.1" }));
      await session.close();
      server.close();
    });

    test("port_forwarding lets dynamic forwarding through", async () => {
      const [port = 0] = await freePorts(1);
      const session = await SshSession.open(cluster, target, [...STRICT, "-D", `${port}`], { home: free });
      assert.ok(await echoes({ port, host: "127.0.0.1" }, socks5(echoPort)));
      await session.close();
    });

    for (const name of ["free", "bound"] as const) {
      test(`agent forwarding works ${name === "free" ? "with" : "without"} port_forwarding`, async () => {
        const home = name === "free" ? free : bound;
        const agent = await startSshAgent(join(home, "agent.sock"));
        const env = { SSH_AUTH_SOCK: agent.path };
        cluster.run("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-C", "forwarded", "-f", join(home, "key")]);
        assert.equal(cluster.run("ssh-add", ["-q", join(home, "key")], { env }).code, 0);
        const { stdout, stderr } = cluster.ssh(["-A", target, "ssh-add -l"], { home, env });
        assert.match(stdout, / forwarded \(ED25519\)/, stderr);
        assert.equal(cluster.ssh(["-a", target, "echo [$SSH_AUTH_SOCK]"], { home, env }).stdout, "[]\n");
        await agent.stop();
      });
    }

    test("without port_forwarding every kind of forwarding is refused, and says so", async () => {
      for (const [kind, flags, door] of await forwardings(bound)) {
        if (flags[0] === "-R") {
          const { code, stderr } = cluster.ssh([...STRICT, ...flags, target, "true"], { home: bound });
          assert.equal(code, 255, kind);
          assert.match(stderr, /remote port forwarding failed|remote forward failure|forwarding failed for listen path/, kind);
          continue;
        }
        const session = await SshSession.open(cluster, target, flags, { home: bound });
        assert.equal(await echoes(door), false, kind);
        await session.printed(REFUSED);
        await session.works();
        await session.close();
      }
      const [port = 0] = await freePorts(1);
      const dynamic = await SshSession.open(cluster, target, ["-D", `${port}`], { home: bound });
      assert.equal(await echoes({ port, host: "127.0.0.1" }, socks5(echoPort)), false);
      await dynamic.close();
      const toSocket = await SshSession.open(cluster, target, ["-L", `${port}:${join(bound, "nothing.sock")}`], { home: bound });
      assert.equal(await echoes({ port, host: "127.0.0.1" }), false);
      await toSocket.printed(REFUSED);
      await toSocket.close();
    });

    test("file_copy decides over scp, sftp and rsync, and over nothing else", () => {
      const source = join(cluster.folder, "source");
      writeFileSync(source, randomBytes(10_000));
      const ssh = (home: string) => `ssh -F ${cluster.sshConfig({ home })}`;
      for (const [home, isAllowed] of [
        [free, true],
        [bound, false],
      ] as const) {
        const copies = (["scp", "scp -O", "sftp", "rsync"] as const).map(
          (program) => [program, join(home, program.replace(" ", ""))] as const,
        );
        for (const [program, there] of copies) {
          const { code, stderr } =
            program === "rsync"
              ? cluster.run("rsync", ["-e", ssh(home), source, `${target}:${there}`], { home })
              : program === "sftp"
                ? cluster.ssh(["-b", "-", target], { program, home, input: `put ${source} ${there}\n` })
                : cluster.ssh([...program.split(" ").slice(1), source, `${target}:${there}`], { program: "scp", home });
          assert.equal(code === 0, isAllowed, `${program}: ${stderr}`);
          assert.equal(existsSync(there), isAllowed, program);
          if (!isAllowed) assert.match(stderr, /copying files is not allowed by your roles/, program);
        }
        assert.equal(cluster.ssh([target, "exit 7"], { home }).code, 7);
      }
    });

    test("max_session_ttl caps the certificate", () => {
      for (const [name, home] of [
        ["fay", free],
        ["ben", bound],
      ] as const)
        cluster.mshOk(["login", `--user=${name}`, "--password-stdin"], { home, input: `password of ${name} 1\n` });
      const capped = validSeconds(free);
      assert.ok(capped > 29 * 60 && capped <= 31 * 60, `${capped} s`);
      const uncapped = validSeconds(bound);
      assert.ok(uncapped > 11.9 * 3600 && uncapped <= 12.1 * 3600, `${uncapped} s`);
    });

    test("a role that loses its options closes the doors to those who come after", async () => {
      cluster.createRole("free", { port_forwarding: false, file_copy: false });
      await eventually(() =>
        /port forwarding is not allowed/.test(cluster.ssh(["-W", `127.0.0.1:${echoPort}`, target], { home: free }).stderr),
      );
    });

    /** How long the certificate of this home is valid from now, in seconds. */
    function validSeconds(home: string): number {
      const status = JSON.parse(cluster.mshOk(["status", "--format=json"], { home })) as { valid_until: string };
      return (Date.parse(status.valid_until) - Date.now()) / 1000;
    }
  },
);
