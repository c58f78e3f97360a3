import { randomUUID } from "node:crypto";
import { readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { MikroORM } from "@mikro-orm/core";
import type { Agent } from "../../../plugins/nodes/agent.js";
import { AGENT_ENTITIES, insertAgent } from "../../../plugins/nodes/agent-repository.js";
import { SqliteStorageDriver } from "../../../plugins/storage/sqlite/sqlite-driver.js";
import { NodeServiceService } from "../../../proto/gen/mezite/nodes/v1/nodes.js";
import { Cluster } from "../../fixtures/cluster.js";
import { projectFile } from "../../fixtures/project-file.js";
import { measureAuthorization } from "../authorization.js";
import { runProgram } from "../client-process.js";
import { absolute, type Row, withUnit } from "../figure.js";
import { connectWith, loginSessionOf } from "../login-session.js";
import { median, timed } from "../statistics.js";

const NODES = 10_000;
const ROLE = `kind: role
version: v1
metadata: { name: half }
spec:
  allow:
    node_labels: { env: env-0 }
    logins: [deploy]
`;

/** A cluster with many nodes, seen by a person whose role reaches half of them; and the decision behind it. */
export const nodes: Row = {
  name: "nodes",
  summary: "nodes ls with 10,000 nodes, half of them visible; a decision with 100 roles",
  async measure(_bed, { rounds }) {
    const { decisionMicroseconds } = measureAuthorization(rounds);
    const cluster = await Cluster.start({ node: "none" });
    try {
      await cluster.server.stop();
      await insertNodes(cluster);
      await cluster.startServer();
      const home = personWhoSeesHalf(cluster);
      const call = await callMilliseconds(cluster, home, rounds);
      const env = cluster.environment({ home });
      const mezctl = (...args: readonly string[]): Promise<number> =>
        runProgram(projectFile("cli/bin/mezctl").pathname, args, { env });
      const list: number[] = [];
      const one: number[] = [];
      for (let round = 0; round < rounds; round += 1) {
        list.push(await mezctl("nodes", "ls"));
        one.push(await mezctl("nodes", "get", "node-00000"));
      }
      return [
        absolute("nodes ls, 10,000 nodes, half seen: the call", call, "ms", 150, "at most"),
        absolute(
          "nodes ls, 10,000 nodes, half seen: the command, beyond nodes get of one",
          median(list) - median(one),
          "ms",
          150,
          "at most",
          withUnit(median(list), "ms"),
        ),
        absolute("authorization decision, 100 roles", decisionMicroseconds, "µs", 20, "at most"),
      ];
    } finally {
      await cluster.stop();
    }
  },
};

// --- internal ---

async function insertNodes({ dataDirectory }: Cluster): Promise<void> {
  const file = readdirSync(dataDirectory).find((name) => name.endsWith(".db"));
  if (file === undefined) throw new Error(`there is no database in ${dataDirectory}`);
  const orm = await MikroORM.init({
    ...new SqliteStorageDriver(join(dataDirectory, file)).options(),
    entities: [...AGENT_ENTITIES],
  });
  try {
    await orm.em.transactional(async (em) => {
      for (let index = 0; index < NODES; index += 1) await insertAgent(em, agentOf(index));
    });
  } finally {
    await orm.close();
  }
}

function agentOf(index: number): Agent {
  const now = Date.now();
  return {
    id: randomUUID(),
    name: `node-${String(index).padStart(5, "0")}`,
    role: "node",
    hostname: `node-${index}.example.com`,
    agentLabels: { env: `env-${index % 2}`, region: `r${index % 10}`, team: `team-${index % 150}` },
    adminLabels: {},
    os: "linux",
    version: "0.1.0",
    address: "192.0.2.7",
    publicAddresses: [],
    joinedBy: "token:bench",
    joinedAt: new Date(now).toISOString(),
    certificateSerial: String(index),
    certificateExpiresAt: new Date(now + 86_400_000).toISOString(),
  };
}

function personWhoSeesHalf(cluster: Cluster): string {
  const file = join(cluster.folder, "half.yaml");
  writeFileSync(file, ROLE);
  cluster.mezctlOk(["roles", "create", `--from-file=${file}`]);
  return cluster.person("half", ["--roles=half"]);
}

async function callMilliseconds(cluster: Cluster, home: string, rounds: number): Promise<number> {
  const connection = connectWith(loginSessionOf(cluster, home));
  try {
    const client = connection.client(NodeServiceService);
    const times: number[] = [];
    for (let round = 0; round <= rounds * 2; round += 1) {
      let seen = 0;
      const time = await timed(async () => {
        for await (const page of client.listNodes({ role: "node", brief: true })) seen += page.nodes.length;
      });
      if (seen !== NODES / 2) throw new Error(`${seen} nodes are seen instead of ${NODES / 2}`);
      if (round > 0) times.push(time); // the first warms up
    }
    return median(times);
  } finally {
    connection.close();
  }
}
