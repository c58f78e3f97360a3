import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import type { IncomingHttpHeaders } from "node:http2";
import { test } from "node:test";
import { isMezError } from "../errors/error.js";
import { parseStreamHeaders, streamRequestHeaders, type TunnelStreamInfo } from "./stream-headers.js";

const INFO: TunnelStreamInfo = {
  nodeName: "web-01",
  sessionId: "0197c1f2-8a54-7cc0-b3a1-5c2f8e3f0b11",
  clientAddress: "192.0.2.7",
  clientPort: 50_022,
};
const FACTOR = { kind: "webauthn", user: "alice@example.com" } as const;

for (const info of [INFO, { ...INFO, factor: FACTOR }]) {
  test(`a node reads what the proxy said ${"factor" in info ? "with" : "without"} a second factor`, () => {
    const key = randomBytes(16);
    const asked = parseStreamHeaders(streamRequestHeaders(info, key) as IncomingHttpHeaders);
    assert.deepEqual([asked.info, asked.key], [info, key]);
  });
}

for (const [name, value] of [
  ["mezite-factor-kind", "off"],
  ["mezite-factor-kind", "recovery_code"],
  ["mezite-factor-kind", undefined],
  ["mezite-factor-user", undefined],
  ["mezite-factor-user", ""],
  ["mezite-factor-user", "alice bob"],
  ["mezite-factor-user", "a".repeat(129)],
  ["mezite-client-port", "0"],
] as const) {
  test(`a request with ${name} ${JSON.stringify(value)} is refused`, () => {
    const headers = { ...streamRequestHeaders({ ...INFO, factor: FACTOR }, randomBytes(16)), [name]: value };
    assert.throws(
      () => parseStreamHeaders(headers as IncomingHttpHeaders),
      (error) => isMezError(error, "INVALID_ARGUMENT"),
    );
  });
}
