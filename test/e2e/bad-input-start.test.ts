import assert from "node:assert/strict";
import { once } from "node:events";
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { EXIT_CODES } from "../../core/cli/exit-codes.js";
import { Cluster } from "../fixtures/cluster.js";

type Kind = keyof typeof EXIT_CODES;

/** What a config file lays over one that would start. */
type Overlay = Readonly<Record<string, unknown>>;

const CONFIGS: readonly (readonly [what: string, overlay: (cluster: Cluster) => Overlay, kind: Kind, line: RegExp])[] = [
  [
    "an unknown key",
    () => ({ auth: { listen_adr: "x" } }),
    "usage",
    /unknown key "listen_adr" under auth; did you mean "listen_addr"\?$/,
  ],
  [
    "an auth port in use",
    ({ ports }) => ({ auth: { listen_addr: `localhost:${ports.auth}` } }),
    "environment",
    /change auth\.listen_addr$/,
  ],
  [
    "an SSH port in use",
    ({ ports }) => ({
      proxy: { ssh_listen_addr: `localhost:${ports.ssh}`, tunnel_listen_addr: "localhost:0", web_listen_addr: "" },
    }),
    "environment",
    /is in use by another process; stop it or change proxy\.ssh_listen_addr$/,
  ],
  [
    "a data directory in use",
    ({ dataDirectory }) => ({ data_dir: dataDirectory }),
    "environment",
    /in use by another mezd; stop that one/,
  ],
  ["a file as the data directory", ({ configFile }) => ({ data_dir: configFile }), "environment", /is no folder$/],
  [
    "a data directory that cannot be made",
    () => ({ data_dir: "/proc/mezite/data" }),
    "environment",
    /no such file or directory$/,
  ],
  ["a data directory open to others", openFolder, "environment", /has mode 755 and holds private keys; run chmod 700/],
];

describe("a daemon that cannot start says why in one line and ends", () => {
  let cluster: Cluster;
  before(async () => {
    cluster = await Cluster.start({ node: "none" });
  });
  after(() => cluster.stop());

  for (const [index, [what, overlay, kind, line]] of CONFIGS.entries()) {
    test(what, () => fails(cluster, ["start", configured(cluster, `bad-${index}`, overlay(cluster))], kind, line));
  }

  test("and makes no admin whose password nobody has seen", async () => {
    const inUse = { auth: { listen_addr: `localhost:${cluster.ports.auth}` } };
    await fails(cluster, ["start", configured(cluster, "again", inUse)], "environment", /is in use by another process/);
    const second = cluster.daemon(["start", configured(cluster, "again", {})]);
    await second.printed(/Its password is shown only now:\s+\S+/);
    await second.stop();
  });

  const TOKENS: readonly (readonly [what: string, token: () => string, kind: Kind, line: RegExp])[] = [
    ["a token that is none", () => "zz", "usage", /a join token is 64 hex characters/],
    ["a token that has expired, or that nobody made", () => "0".repeat(64), "denied", /does not know this token/],
    ["a token for another role", () => tokenFor(cluster, "proxy"), "denied", /this token admits proxy, not node$/],
  ];
  for (const [what, token, kind, line] of TOKENS) {
    test(what, () => fails(cluster, joining(cluster, "node-x"), kind, line, token()));
  }

  test("a token that has been used", async () => {
    const token = tokenFor(cluster, "node");
    const first = cluster.daemon(joining(cluster, "node-a"), { MEZITE_JOIN_TOKEN: token });
    await first.printed(/registered with the cluster/);
    await fails(cluster, joining(cluster, "node-b"), "denied", /./, token);
    await fails(
      cluster,
      joining(cluster, "node-a", "elsewhere"),
      "conflict",
      /has joined already; remove it first/,
      tokenFor(cluster, "node"),
    );
    await first.stop();
  });
});

// --- internal ---

/** Log lines aside, the daemon prints one line. */
async function fails(cluster: Cluster, args: readonly string[], kind: Kind, line: RegExp, token = ""): Promise<void> {
  const daemon = cluster.daemon(args, token === "" ? {} : { MEZITE_JOIN_TOKEN: token });
  if (daemon.process.exitCode === null) await once(daemon.process, "close");
  const said = daemon.output.split("\n").filter((text) => text !== "" && !text.startsWith('{"level"'));
  assert.equal(said.length, 1, daemon.output);
  assert.match(said[0] ?? "", /^mezd: /);
  assert.match(said[0] ?? "", line);
  assert.doesNotMatch(said[0] ?? "", /E[A-Z]{5,}|\bat .*:\d+:\d+/);
  assert.equal(daemon.process.exitCode, EXIT_CODES[kind], daemon.output);
}

function configured({ folder }: Cluster, name: string, overlay: Overlay): string {
  const file = join(folder, `${name}.yaml`);
  const whole = {
    cluster_name: "other",
    data_dir: join(folder, `state-${name}`),
    log: { format: "json" },
    auth: { listen_addr: "localhost:0" },
    proxy: { ssh_listen_addr: "localhost:0", tunnel_listen_addr: "localhost:0", web_listen_addr: "" },
    ...overlay,
  };
  writeFileSync(file, JSON.stringify(whole));
  return `--config=${file}`;
}

function openFolder({ folder }: Cluster): Overlay {
  const path = join(folder, "open");
  mkdirSync(path, { recursive: true });
  chmodSync(path, 0o755);
  return { data_dir: path };
}

function tokenFor(cluster: Cluster, role: string): string {
  const made = cluster.mezctlOk(["tokens", "create", `--roles=${role}`, "--format=json"]);
  return (JSON.parse(made) as { token: string }).token;
}

function joining({ ports, folder }: Cluster, name: string, state = name): readonly string[] {
  const addresses = [`--auth-server=localhost:${ports.auth}`, `--proxy=localhost:${ports.tunnel}`];
  return ["node", `--name=${name}`, `--data-dir=${join(folder, state)}`, ...addresses];
}
