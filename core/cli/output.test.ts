import assert from "node:assert/strict";
import { PassThrough } from "node:stream";
import { test } from "node:test";
import { parse } from "yaml";
import type { Column } from "../plugin/commands.js";
import { cellText, Output, type OutputFormat } from "./output.js";

interface Node {
  readonly name: string;
  readonly online: boolean;
  readonly lastSeen: Date | null;
  readonly labels: Readonly<Record<string, string>>;
  readonly sessions: number;
}

const columns: readonly Column<Node>[] = [
  { key: "name", header: "Name", value: (node) => node.name, shrink: true },
  { key: "state", header: "State", value: (node) => (node.online ? "online" : "offline"), json: (node) => node.online },
  { key: "lastSeen", header: "Last seen", value: (node) => node.lastSeen },
  { key: "labels", header: "Labels", value: (node) => node.labels },
  { key: "sessions", header: "Sessions", value: (node) => node.sessions, align: "right" },
];

const nodes: readonly Node[] = [
  {
    name: "web-01",
    online: true,
    lastSeen: new Date("2026-03-01T10:00:00.250Z"),
    labels: { env: "prod", role: "web" },
    sessions: 12,
  },
  { name: "データ\u001b[2J\u202e\u009b", online: false, lastSeen: null, labels: {}, sessions: 3 },
];

const asJson = [
  { name: "web-01", state: true, last_seen: "2026-03-01T10:00:00.250Z", labels: { env: "prod", role: "web" }, sessions: 12 },
  { name: "データ\u001b[2J\u202e\u009b", state: false, last_seen: null, labels: {}, sessions: 3 },
];

async function print(
  format: OutputFormat,
  act: (output: Output) => Promise<void>,
  terminal?: { columns: number; env?: Record<string, string> },
): Promise<string> {
  const stdout = Object.assign(new PassThrough(), terminal === undefined ? {} : { isTTY: true, columns: terminal.columns });
  await act(new Output(format, { stdout, stderr: new PassThrough(), env: terminal?.env ?? {} }));
  return String(stdout.read() ?? "");
}

test("aligns a table by what the terminal shows and escapes what could steer it", async () => {
  const text = await print("table", (output) => output.rows(nodes, columns));
  assert.equal(
    text,
    [
      "NAME                     STATE    LAST SEEN             LABELS             SESSIONS",
      "web-01                   online   2026-03-01T10:00:00Z  env=prod,role=web        12",
      "データ\\x1b[2J\\u202e\\x9b  offline  -                     -                         3",
      "",
    ].join("\n"),
  );
});

test("prints the header of an empty table and an empty array", async () => {
  assert.equal(await print("table", (output) => output.rows([], columns)), "NAME  STATE  LAST SEEN  LABELS  SESSIONS\n");
  assert.equal(await print("json", (output) => output.rows([], columns)), "[]\n");
  assert.equal(await print("yaml", (output) => output.rows([], columns)), "[]\n");
});

for (const [format, read] of [
  ["json", (text: string): unknown => JSON.parse(text)],
  ["yaml", (text: string): unknown => parse(text)],
] as const) {
  test(`prints ${format} that reads back whole, without a control character on the way`, async () => {
    const text = await print(format, (output) => output.rows(nodes, columns));
    assert.deepEqual(read(text), asJson);
    assert.doesNotMatch(text, /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202e]/);
    assert.deepEqual(read(await print(format, (output) => output.record(nodes[0]!, columns))), asJson[0]);
  });
}

test("prints a record as lines", async () => {
  const text = await print("table", (output) => output.record(nodes[0]!, columns));
  assert.equal(
    text,
    "Name:       web-01\nState:      online\nLast seen:  2026-03-01T10:00:00Z\nLabels:     env=prod,role=web\nSessions:   12\n",
  );
});

test("keeps acronyms in capitals in a record", async () => {
  const headers = ["HOST KEY", "SPIFFE ID", "JWT TTL", "RPC", "CA FINGERPRINT"];
  const named = headers.map((header) => ({ key: "name", header, value: (node: Node) => node.name }));
  const text = await print("table", (output) => output.record(nodes[0]!, named));
  const words = ["Host key", "SPIFFE ID", "JWT TTL", "RPC", "CA fingerprint"];
  assert.deepEqual(
    text
      .trimEnd()
      .split("\n")
      .map((line) => line.replace(/: .*/, "")),
    words,
  );
});

test("cuts only columns that may shrink, only on a terminal, and colours only there", async () => {
  const wide = [{ ...nodes[0]!, name: "n".repeat(60) }];
  assert.match(await print("table", (output) => output.rows(wide, columns)), /n{60}/);
  const plain = await print("table", (output) => output.rows(wide, columns), { columns: 90, env: { NO_COLOR: "1" } });
  assert.match(plain, /^n+… +online/m);
  assert.deepEqual(
    plain.split("\n").map((line) => line.length <= 90),
    [true, true, true],
  );
  assert.doesNotMatch(plain, /\u001b/);
  assert.match(await print("table", (output) => output.rows(wide, columns), { columns: 90 }), /^\u001b\[1mNAME/);
  assert.doesNotMatch(
    await print("table", (output) => output.rows(wide, columns), { columns: 90, env: { TERM: "dumb" } }),
    /\u001b/,
  );
});

for (const [value, text] of [
  [undefined, "-"],
  ["", "-"],
  [0, "0"],
  [false, "false"],
  [["a", "b"], "a,b"],
  [[], "-"],
  [new Date(Number.NaN), "-"],
  ["line\nbreak", "line\\x0abreak"],
] as const) {
  test(`shows ${JSON.stringify(value)} as ${text}`, () => assert.equal(cellText(value), text));
}
