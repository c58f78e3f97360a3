import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import { type ErrorCode } from "../errors/codes.js";
import { isMezError } from "../errors/error.js";
import { encodeFrame, FrameReader, MAX_FRAME_BYTES } from "./frames.js";

const VALUES: readonly (readonly [what: string, value: unknown])[] = [
  ["text, numbers and nothing", { a: "ä\n", b: -1.5, c: null, d: [true, []] }],
  ["bytes", { one: Buffer.from("abc"), many: [Buffer.alloc(0), randomBytes(100_000)] }],
  ["a date", { at: new Date(1_700_000_000_000) }],
  ["keys like the marks", { $bytes: [0, 1], inner: { $date: 1, $entries: [["a", 1]] } }],
  ["a key of the prototype", JSON.parse('{"__proto__": {"polluted": true}}')],
];

for (const [what, value] of VALUES) {
  test(`carries ${what}`, () => {
    const frame = encodeFrame(value);
    assert.deepEqual(new FrameReader().read(frame), [value]);
    const reader = new FrameReader();
    const pieces = [...frame.subarray(0, 40)].map((byte) => Buffer.from([byte]));
    const early = pieces.flatMap((piece) => reader.read(piece));
    assert.deepEqual([...early, ...reader.read(frame.subarray(40))], [value]);
    assert.equal(({} as { polluted?: unknown }).polluted, undefined);
  });
}

test("reads several frames out of one piece", () => {
  const whole = Buffer.concat([1, "b", { c: Buffer.from("c") }].map(encodeFrame));
  assert.deepEqual(new FrameReader().read(whole), [1, "b", { c: Buffer.from("c") }]);
});

for (const [what, value] of [
  ["functions", () => 1],
  ["symbols", [Symbol("x")]],
  ["large integers", 1n],
  ["objects of a class", new Map()],
] as const) {
  test(`sends no ${what}`, () => {
    assert.throws(
      () => encodeFrame({ value }),
      (error) => isMezError(error, "INVALID_ARGUMENT"),
    );
  });
}

function frame(json: string, bytes = "", jsonLength = json.length): Buffer {
  const head = Buffer.alloc(8);
  head.writeUInt32BE(4 + json.length + bytes.length, 0);
  head.writeUInt32BE(jsonLength, 4);
  return Buffer.concat([head, Buffer.from(json), Buffer.from(bytes)]);
}

const MALFORMED: readonly (readonly [what: string, bytes: Buffer, code: ErrorCode])[] = [
  ["a frame that is too long", Buffer.from([255, 255, 255, 255, 0, 0, 0, 0]), "LIMIT_EXCEEDED"],
  ["a frame without room for its head", Buffer.from([0, 0, 0, 1, 0, 0, 0, 0]), "LIMIT_EXCEEDED"],
  ["text that is longer than its frame", frame("1", "", 1000), "INVALID_ARGUMENT"],
  ["text that is no JSON", frame("{"), "INVALID_ARGUMENT"],
  ["bytes outside of the frame", frame('{"$bytes":[0,5]}', "abcd"), "INVALID_ARGUMENT"],
  ["bytes before the frame", frame('{"$bytes":[-1,2]}', "abcd"), "INVALID_ARGUMENT"],
  ["bytes that are named twice", frame('[{"$bytes":[0,4]},{"$bytes":[0,4]}]', "abcd"), "INVALID_ARGUMENT"],
  ["a place of bytes that is none", frame('{"$bytes":"x"}'), "INVALID_ARGUMENT"],
  ["deep nesting", frame("[".repeat(100_000) + "]".repeat(100_000)), "INVALID_ARGUMENT"],
];

for (const [what, bytes, code] of MALFORMED) {
  test(`refuses ${what}`, () => {
    assert.throws(
      () => new FrameReader().read(bytes),
      (error) => isMezError(error, code),
    );
  });
}

test("sends nothing that the other side would refuse for its length", () => {
  assert.throws(
    () => encodeFrame(Buffer.alloc(MAX_FRAME_BYTES)),
    (error) => isMezError(error, "LIMIT_EXCEEDED"),
  );
});
