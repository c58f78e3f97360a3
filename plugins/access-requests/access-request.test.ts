import assert from "node:assert/strict";
import { test } from "node:test";
import { isMezError } from "../../core/errors/error.js";
import { after, REQUEST_STATES, type RequestState, type RequestStep } from "./access-request.js";

const STEPS: readonly RequestStep[] = ["approve", "deny", "cancel", "expire", "revoke"];
const ALLOWED = new Map<string, RequestState>([
  ["pending approve", "approved"],
  ["pending deny", "denied"],
  ["pending cancel", "cancelled"],
  ["approved expire", "expired"],
  ["approved revoke", "revoked"],
]);

for (const state of REQUEST_STATES) {
  for (const step of STEPS) {
    const next = ALLOWED.get(`${state} ${step}`);
    test(`${step} leads from ${state} to ${next ?? "nowhere"}`, () => {
      if (next !== undefined) assert.equal(after({ id: "7", state }, step), next);
      else
        assert.throws(
          () => after({ id: "7", state }, step),
          (error) => isMezError(error, "CONFLICT"),
        );
    });
  }
}
