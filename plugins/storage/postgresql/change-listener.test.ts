import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import { test } from "node:test";
import { eventually } from "../../../test/fixtures/eventually.js";
import { ChangeListener } from "./change-listener.js";
import type { PgClient } from "./pg-client.js";

test("says once that it cannot hear, however often it tries, and hears again", async (t) => {
  let tries = 0;
  class Client extends EventEmitter implements PgClient {
    readonly processID = 7;
    async connect(): Promise<void> {
      tries += 1;
      if (tries < 3) throw new Error("nobody is there");
    }
    async query(sql: string) {
      return { rows: sql.includes("pg_backend_pid") ? [{ pid: 7 }] : [] };
    }
    async end(): Promise<void> {}
  }
  const warned: string[] = [];
  const ignore = (): void => {};
  const logger = { debug: ignore, info: ignore, warn: (message: string) => void warned.push(message), error: ignore };
  let heard = 0;
  const listener = new ChangeListener({ Client, options: {} }, "channel", () => (heard += 1), logger);
  listener.start();
  t.after(() => listener.stop());
  await eventually(() => heard === 1);
  assert.deepEqual([tries, warned.length], [3, 1]);
});
