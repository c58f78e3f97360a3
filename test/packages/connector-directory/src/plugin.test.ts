import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { json } from "node:stream/consumers";
import { test } from "node:test";
import { CONNECTOR, isMezError, Secret } from "mezite/plugin";
import { startTestCluster, testConnector } from "mezite/testing";
import { DirectoryConnector } from "./directory-connector.js";

const TOKEN = "a token of the directory";
const ALICE = { login: "Alice", active: true, groups: ["engineering"], attributes: { logins: ["alice", "deploy"] } };

/** A small directory. */
class Directory {
  isAway = false;
  readonly people = new Map<string, unknown>([["alice", ALICE]]);
  readonly #server: Server = createServer(async (request, response) => {
    const { login, password } = (await json(request)) as { login: string; password: string };
    const isUs = request.headers.authorization === `Bearer ${TOKEN}`;
    const person = this.people.get(login);
    if (this.isAway) return void response.writeHead(503).end();
    if (!isUs || person === undefined || password !== "right") return void response.writeHead(401).end();
    response.end(JSON.stringify(person));
  });

  async listen(): Promise<string> {
    this.#server.listen(0, "127.0.0.1");
    await once(this.#server, "listening");
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/logins`;
  }

  close(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }
}

testConnector("directory", async () => {
  const directory = new Directory();
  return {
    connector: new DirectoryConnector(await directory.listen(), new Secret(TOKEN)),
    good: { userName: "alice", password: "right" },
    identity: { userName: "alice", claims: { groups: ["engineering"], logins: ["alice", "deploy"] } },
    away: async () => {
      directory.isAway = true;
    },
    back: async () => {
      directory.isAway = false;
    },
    close: async () => directory.close(),
  };
});

for (const [what, person, code] of [
  ["somebody who has left", { ...ALICE, active: false }, "INVALID_CREDENTIALS"],
  ["an answer without a name", { active: true }, "UNAVAILABLE"],
  ["groups that are no list", { ...ALICE, groups: "admins" }, "UNAVAILABLE"],
  ["an answer without end", { ...ALICE, groups: ["x".repeat(300_000)] }, "UNAVAILABLE"],
] as const) {
  test(`lets nobody in for ${what}`, async (t) => {
    const directory = new Directory();
    t.after(() => directory.close());
    directory.people.set("alice", person);
    const connector = new DirectoryConnector(await directory.listen(), new Secret(TOKEN));
    const check = { userName: "alice", password: "right", clientAddress: "192.0.2.7" };
    await assert.rejects(connector.checkPassword(check, AbortSignal.timeout(60_000)), (error) => isMezError(error, code));
  });
}

test("runs in a server", async (t) => {
  const directory = new Directory();
  t.after(() => directory.close());
  const config = { plugins: { "connector.directory": { config: { url: await directory.listen(), token: TOKEN } } } };
  const cluster = await startTestCluster({ plugins: [join(__dirname, "..")], config });
  try {
    assert.deepEqual(cluster.port(CONNECTOR).names(), ["directory"]);
  } finally {
    await cluster.stop();
  }
});
