import assert from "node:assert/strict";
import { test } from "node:test";
import type { CommandContext } from "../../core/plugin/commands.js";
import { createRequest } from "./request-commands.js";

const ASKED = { roles: ["production"], nodes: undefined, reason: undefined, ttl: undefined };

for (const [when, interrupts] of [
  ["before the server has answered", "create"],
  ["while nobody has decided", "wait"],
] as const)
  test(`Ctrl-C ${when} cancels the request`, async () => {
    const interrupted = new AbortController();
    const cancelled: string[] = [];
    const refuse = (signal?: AbortSignal) => signal?.throwIfAborted();
    const client = {
      createAccessRequest: async (_asked: unknown, { signal }: { readonly signal?: AbortSignal }) => {
        if (interrupts === "create") interrupted.abort();
        refuse(signal);
        return { request: { id: "7f3a", state: "pending" }, notice: "" };
      },
      getAccessRequest: async (_asked: unknown, { signal }: { readonly signal?: AbortSignal }) => {
        refuse(signal);
        interrupted.abort();
        return { request: { id: "7f3a", state: "pending" } };
      },
      cancelAccessRequest: async ({ id }: { readonly id: string }) => void cancelled.push(id),
    };
    const output = { note: () => undefined };
    const context = { signal: interrupted.signal, rpc: async () => client, output } as unknown as CommandContext;
    await assert.rejects(createRequest(context, { ...ASKED, wait: true }), { name: "AbortError" });
    assert.deepEqual(cancelled, ["7f3a"]);
  });
