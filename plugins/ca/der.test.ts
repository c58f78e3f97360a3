import assert from "node:assert/strict";
import { test } from "node:test";
import { contentsOf, integer, objectIdentifier, octetString, sequence, time } from "./der.js";
import { ipAddressBytes } from "./ip-address.js";

for (const [magnitude, der] of [
  ["00", "020100"],
  ["", "020100"],
  ["7f", "02017f"],
  ["80", "02020080"],
  ["0001", "020101"],
  ["00ff", "020200ff"],
  ["0100", "02020100"],
] as const) {
  test(`writes the integer 0x${magnitude} as ${der}`, () =>
    assert.equal(integer(Buffer.from(magnitude, "hex")).toString("hex"), der));
}

for (const [dotted, der] of [
  ["2.5.29.15", "0603551d0f"],
  ["1.2.840.10045.4.3.2", "06082a8648ce3d040302"],
  ["1.3.6.1.5.5.7.3.1", "06082b06010505070301"],
] as const) {
  test(`writes the object identifier ${dotted}`, () => assert.equal(objectIdentifier(dotted).toString("hex"), der));
}

for (const [length, header] of [
  [0, "0400"],
  [127, "047f"],
  [128, "048180"],
  [255, "0481ff"],
  [256, "04820100"],
  [65_535, "0482ffff"],
  [65_536, "0483010000"],
] as const) {
  test(`frames ${length} bytes and reads them back`, () => {
    const framed = octetString(Buffer.alloc(length, 7));
    assert.equal(framed.subarray(0, header.length / 2).toString("hex"), header);
    assert.deepEqual(contentsOf(framed), [Buffer.alloc(length, 7)]);
  });
}

for (const [moment, text] of [
  ["2026-03-04T05:06:07.890Z", "260304050607Z"],
  ["2049-12-31T23:59:59Z", "491231235959Z"],
  ["2050-01-01T00:00:00Z", "20500101000000Z"],
] as const) {
  test(`writes the time ${moment} as ${text}`, () => assert.equal(time(new Date(moment)).subarray(2).toString("latin1"), text));
}

test("reads the elements of a sequence apart", () => {
  const [content = Buffer.alloc(0)] = contentsOf(sequence(octetString(Buffer.from("a")), octetString(Buffer.from("bc"))));
  assert.deepEqual(contentsOf(content).map(String), ["a", "bc"]);
});

for (const [text, bytes] of [
  ["127.0.0.1", "7f000001"],
  ["::1", "00000000000000000000000000000001"],
  ["::", "00000000000000000000000000000000"],
  ["2001:DB8::8:800:200c:417a", "20010db80000000000080800200c417a"],
  ["1:2:3:4:5:6:7:8", "00010002000300040005000600070008"],
  ["fe80::", "fe800000000000000000000000000000"],
  ["::ffff:192.0.2.1", "00000000000000000000ffffc0000201"],
  ["fe80::1%eth0", null],
  ["256.0.0.1", null],
  ["localhost", null],
  ["", null],
] as const) {
  test(`reads the address ${JSON.stringify(text)}`, () => assert.equal(ipAddressBytes(text)?.toString("hex") ?? null, bytes));
}
