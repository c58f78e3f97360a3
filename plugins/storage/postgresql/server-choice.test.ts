import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import { test } from "node:test";
import type { PgOptions } from "./pg-client.js";
import { clientOf, ServerChoice } from "./server-choice.js";

const SERVERS = ["db-1", "db-2"].map((host) => ({ host, port: 5432 }));
const GREETING = { settings: {}, tls: () => false as const, guard: () => undefined };

/** What its servers answer to the greeting, by host. */
function fakeClient(answers: Readonly<Record<string, "standby" | "primary" | "breaks">>) {
  return class extends EventEmitter {
    readonly processID = 1;
    constructor(private readonly options: PgOptions) {
      super();
    }
    async connect(): Promise<void> {}
    async end(): Promise<void> {}
    async query() {
      const answer = answers[String(this.options.host)];
      // As `pg` does it: an event beside the rejection.
      if (answer === "breaks") this.emit("error", new Error("the connection was cut"));
      if (answer === "breaks") throw new Error("the connection was cut");
      return { rows: [{ standby: answer === "standby" }] };
    }
  };
}

for (const [what, answer, message] of [
  ["a standby", "standby", /standby/],
  ["a connection that breaks during the greeting", "breaks", /was cut/],
] as const) {
  test(`leaves ${what} for the next server, and outlives it`, async () => {
    const choice = new ServerChoice(SERVERS);
    const Client = clientOf(fakeClient({ "db-1": answer, "db-2": "primary" }), choice, GREETING);
    await assert.rejects(new Client({}).connect(), message);
    assert.equal(choice.current.host, "db-2");
    await new Client({}).connect();
    assert.equal(choice.current.host, "db-2");
  });
}
