import assert from "node:assert/strict";
import { test } from "node:test";
import { isMezError } from "../errors/error.js";
import { originLine, parseOrigin } from "./relayed-origin.js";

const HERE = { localAddress: "::ffff:192.0.2.1", localPort: 443 };

for (const [remoteAddress, localAddress, line] of [
  ["::ffff:198.51.100.7", "::ffff:192.0.2.1", "PROXY TCP4 198.51.100.7 192.0.2.1 5022 443\r\n"],
  ["2001:db8::7", "2001:db8::1", "PROXY TCP6 2001:db8::7 2001:db8::1 5022 443\r\n"],
  ["fe80::7%eth0", "fe80::1%eth0", "PROXY TCP6 fe80::7 fe80::1 5022 443\r\n"],
] as const) {
  test(`writes ${line.trim()}, and reads it`, () => {
    assert.equal(originLine({ remoteAddress, remotePort: 5022, localAddress, localPort: 443 }), line);
    const address = line.split(" ")[2];
    assert.deepEqual(parseOrigin(line.trimEnd()), { address, port: 5022 });
  });
}

test("has no line for a client that is gone", () => {
  const gone = { ...HERE, remoteAddress: undefined, remotePort: undefined };
  assert.throws(
    () => originLine(gone as never),
    (error) => isMezError(error, "UNAVAILABLE"),
  );
});

for (const line of [
  "",
  "PROXY UNKNOWN",
  "PROXY TCP4 198.51.100.7 192.0.2.1 5022",
  "PROXY TCP4 198.51.100.7 192.0.2.1 5022 65536",
  "PROXY TCP4 198.51.100.7 192.0.2.1 05022 443",
  "PROXY TCP4 198.51.100.7 2001:db8::1 5022 443",
  "PROXY TCP6 198.51.100.7 192.0.2.1 5022 443",
  "PROXY TCP4 198.51.100.700 192.0.2.1 5022 443",
  "PROXY TCP4  198.51.100.7 192.0.2.1 5022 443",
  "PROXY TCP4 198.51.100.7 192.0.2.1 5022 443 ",
  "proxy TCP4 198.51.100.7 192.0.2.1 5022 443",
]) {
  test(`refuses "${line}"`, () => assert.equal(parseOrigin(line), null));
}
