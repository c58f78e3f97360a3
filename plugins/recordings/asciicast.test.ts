import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { needsPeers, requirePeer } from "../../test/peers/require-peer.js";
import { AsciicastEncoder, type AsciicastHeader } from "./asciicast.js";

const HEADER: AsciicastHeader = {
  ...{ width: 80, height: 24, title: "alice: deploy@web-01", command: null, terminal: "xterm" },
  startedAt: new Date(1_700_000_000_900),
};

/** What a player would print. */
function played(lines: string): string {
  const events = lines.split("\n").filter((line) => line !== "");
  return events.map((line) => (JSON.parse(line) as [number, string, string])[2]).join("");
}

test("begins with a header of version 2", () => {
  const line = new AsciicastEncoder({ ...HEADER, command: "top" }).header();
  assert.ok(line.endsWith("}\n"));
  assert.deepEqual(JSON.parse(line), {
    ...{ version: 2, width: 80, height: 24, timestamp: 1_700_000_000, command: "top", title: "alice: deploy@web-01" },
    env: { TERM: "xterm" },
  });
});

test("writes output and new sizes with the seconds since the beginning", () => {
  const encoder = new AsciicastEncoder(HEADER);
  assert.equal(encoder.output(Buffer.from('a"\r\n'), 1234.5678), '[1.234568,"o","a\\"\\r\\n"]\n');
  assert.equal(encoder.resize(132, 43, 2000), '[2,"r","132x43"]\n');
});

for (const [what, bytes, text] of [
  ["characters of two, three and four bytes", Buffer.from("ä€😀"), "ä€😀"],
  ["a byte order mark", Buffer.from("\ufeffx"), "\ufeffx"],
  ["bytes that are no UTF-8", Buffer.from([0x61, 0xff, 0xfe, 0x62]), "a\ufffd\ufffdb"],
  ["a character that never ends", Buffer.from([0x61, 0xe2, 0x82]), "a\ufffd"],
  ["control characters", Buffer.from([0, 7, 27, 0x5b, 0x6d, 127]), "\0\x07\x1b[m\x7f"],
  ["half a surrogate pair", Buffer.from([0xed, 0xa0, 0x80]), "\ufffd\ufffd\ufffd"],
] as const) {
  test(`keeps ${what}, however they are cut`, () => {
    for (let size = 1; size <= bytes.length; size += 1) {
      const encoder = new AsciicastEncoder(HEADER);
      let lines = "";
      for (let at = 0; at < bytes.length; at += size) lines += encoder.output(bytes.subarray(at, at + size), at);
      assert.equal(played(lines + encoder.end(99)), text);
    }
  });
}

test("ends lines as a terminal would when there was none", () => {
  const encoder = new AsciicastEncoder({ ...HEADER, terminal: null });
  assert.equal(played(encoder.output(Buffer.from("a\nb\r\n\nc"), 0)), "a\r\nb\r\n\r\nc");
});

test("is played by asciinema", needsPeers("asciinema", "script"), async (t) => {
  const folder = await mkdtemp(join(tmpdir(), "mezite-cast-"));
  t.after(() => rm(folder, { recursive: true }));
  const encoder = new AsciicastEncoder(HEADER);
  const smile = Buffer.from("😀");
  const cast = [
    encoder.header(),
    encoder.output(Buffer.from("hello "), 10),
    encoder.output(smile.subarray(0, 2), 20),
    encoder.resize(120, 40, 25),
    encoder.output(Buffer.concat([smile.subarray(2), Buffer.from("\r\n\x1b[1mbold\x1b[0m \xff\r\n")]), 30),
    encoder.end(40),
  ];
  const file = join(folder, "session.cast");
  await writeFile(file, cast.join(""));
  const command = `${requirePeer("asciinema")} cat ${file}`;
  const run = promisify(execFile)(requirePeer("script"), ["-qec", command, "/dev/null"], { encoding: "utf8" });
  run.child.stdin?.end();
  const { stdout } = await run;
  assert.match(stdout, /hello 😀\r\n/);
  assert.match(stdout, /\x1b\[1mbold\x1b\[0m ÿ\r\n/);
});
