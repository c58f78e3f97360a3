import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import { type ErrorCode } from "../errors/codes.js";
import { isMezError } from "../errors/error.js";
import { encodeFrame, FrameReader } from "./frames.js";
import { replyLimits } from "./wire.js";

const LIMITS = { textBytes: 256 * 1024, bytes: 256 * 1024 };

const VALUES: readonly (readonly [what: string, value: unknown])[] = [
  ["text, numbers and nothing", { a: "ä\n", b: -1.5, c: null, d: [true, []] }],
  ["bytes", { one: Buffer.from("abc"), many: [Buffer.alloc(0), randomBytes(100_000)] }],
  ["a date", { at: new Date(1_700_000_000_000) }],
  ["keys like the marks", { $bytes: [0, 1], inner: { $date: 1, $entries: [["a", 1]] } }],
  ["a key of the prototype", JSON.parse('{"__proto__": {"polluted": true}}')],
];

for (const [what, value] of VALUES) {
  test(`carries ${what}`, () => {
    const frame = encodeFrame(value, LIMITS);
    assert.deepEqual(new FrameReader(LIMITS).read(frame), [value]);
    const reader = new FrameReader(LIMITS);
    const pieces = [...frame.subarray(0, 40)].map((byte) => Buffer.from([byte]));
    const early = pieces.flatMap((piece) => reader.read(piece));
    assert.deepEqual([...early, ...reader.read(frame.subarray(40))], [value]);
    assert.equal(({} as { polluted?: unknown }).polluted, undefined);
  });
}

test("reads several frames out of one piece", () => {
  const whole = Buffer.concat([1, "b", { c: Buffer.from("c") }].map((message) => encodeFrame(message, LIMITS)));
  assert.deepEqual(new FrameReader(LIMITS).read(whole), [1, "b", { c: Buffer.from("c") }]);
});

for (const [what, value] of [
  ["functions", () => 1],
  ["symbols", [Symbol("x")]],
  ["large integers", 1n],
  ["objects of a class", new Map()],
] as const) {
  test(`sends no ${what}`, () => {
    assert.throws(
      () => encodeFrame({ value }, LIMITS),
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
  ["a frame with too many bytes", Buffer.from([255, 255, 255, 255, 0, 0, 0, 0]), "LIMIT_EXCEEDED"],
  ["a frame with too much text", Buffer.from([255, 255, 255, 255, 0, 16, 0, 0]), "LIMIT_EXCEEDED"],
  ["a frame without room for its head", Buffer.from([0, 0, 0, 1, 0, 0, 0, 0]), "INVALID_ARGUMENT"],
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
      () => new FrameReader(LIMITS).read(bytes),
      (error) => isMezError(error, code),
    );
  });
}

for (const [what, fits, value] of [
  ["text", "a".repeat(LIMITS.textBytes - 2), "a".repeat(LIMITS.textBytes - 1)],
  ["bytes", Buffer.alloc(LIMITS.bytes), Buffer.alloc(LIMITS.bytes + 1)],
] as const) {
  test(`sends nothing that the other side would refuse for the length of its ${what}`, () => {
    assert.deepEqual(new FrameReader(LIMITS).read(encodeFrame(fits, LIMITS)), [fits]);
    assert.throws(
      () => encodeFrame(value, LIMITS),
      (error) => isMezError(error, "LIMIT_EXCEEDED"),
    );
  });
}

for (const [type, textBytes, bytes] of [
  ["answer", 512 * 1024, 64 * 1024],
  ["failure", 64 * 1024, 0],
  ["chunk", 1024, 256 * 1024],
  ["end", 1024, 0],
  ["log", 64 * 1024, 0],
  ["anything else", 0, 0],
  ["__proto__", 0, 0],
] as const) {
  test(`reads no more of ${type} than that kind of message holds`, () => {
    assert.deepEqual({ ...replyLimits({ type }) }, { textBytes, bytes });
    const most = { textBytes: 1024 * 1024, bytes: 1024 * 1024 };
    const reader = () => new FrameReader(most, replyLimits);
    for (const long of [
      { type, x: "a".repeat(textBytes) },
      { type, x: Buffer.alloc(bytes + 1) },
    ])
      assert.throws(
        () => reader().read(encodeFrame(long, most)),
        (error) => isMezError(error, "LIMIT_EXCEEDED"),
      );
  });
}
