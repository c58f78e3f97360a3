import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { isMezError } from "../../../core/errors/error.js";
import type { ForwardedEvent } from "../../../core/ports/audit-forwarder.js";
import { testAuditForwarder } from "../../../test/contracts/audit-forwarder.js";
import { eventually } from "../../../test/fixtures/eventually.js";
import { needsPeers } from "../../../test/peers/require-peer.js";
import { type ReceivedMessage, RunningRsyslog } from "../../../test/peers/rsyslog.js";
import { overTcp, overTls, StreamTransport } from "./stream-transport.js";
import { parseSyslogAddress } from "./syslog-address.js";
import { SyslogForwarder, type SyslogTransport } from "./syslog-forwarder.js";
import { toLocalMessage, toSyslogMessage } from "./syslog-message.js";
import { UdpTransport } from "./udp-transport.js";
import { UnixTransport } from "./unix-transport.js";

const ORIGIN = { facility: "local3", hostName: "auth-01", processId: 42 };
const signal = () => AbortSignal.timeout(60_000);

function event(seq: number, more: Readonly<Record<string, unknown>> = {}, success = true): ForwardedEvent {
  const json = JSON.stringify({ seq, user_name: "jürgen 🔑", success, ...more });
  return {
    seq,
    id: String(seq),
    type: "user.login",
    code: "MZ1000",
    timestamp: new Date("2026-03-01T08:00:00.123Z"),
    success,
    json,
  };
}

test("writes the header of RFC 5424, then the event in ASCII", () => {
  assert.equal(
    toSyslogMessage(event(7, {}, false), ORIGIN, 4096).toString("latin1"),
    '<156>1 2026-03-01T08:00:00.123Z auth-01 mezite 42 MZ1000 - {"seq":7,"user_name":"j\\u00fcrgen \\ud83d\\udd11","success":false}',
  );
});

test("a message that is too long loses its metadata first", () => {
  const message = toSyslogMessage(event(7, { metadata: { long: "x".repeat(5000) } }), ORIGIN, 1024).toString();
  assert.ok(message.length < 1024);
  assert.deepEqual(JSON.parse(message.slice(message.indexOf("{"))).metadata, { truncated: true });
  assert.equal(toSyslogMessage(event(7, { error_message: "x".repeat(5000) }), ORIGIN, 1024).length, 1024);
});

test("nothing of an event can begin another message", () => {
  const text = toSyslogMessage(
    { ...event(7, { user_name: "a\n<0>1 b" }), code: "M Z\n1" },
    { ...ORIGIN, hostName: "a b\n" },
    4096,
  );
  assert.equal(text.includes(10), false);
  assert.match(text.toString(), / ab mezite 42 MZ1 - /);
});

for (const [text, address] of [
  ["unix:/dev/log", { protocol: "unix", path: "/dev/log" }],
  ["udp://logs", { protocol: "udp", host: "logs", port: 514 }],
  ["tcp://[::1]:601", { protocol: "tcp", host: "::1", port: 601 }],
  ["tls://logs.example.com", { protocol: "tls", host: "logs.example.com", port: 6514 }],
] as const) {
  test(`reads the address ${text}`, () => assert.deepEqual(parseSyslogAddress("k", text), address));
}

for (const text of [
  "",
  "logs:514",
  "unix:log",
  "http://logs",
  "tcp://",
  "tcp://a:0",
  "tcp://a:65536",
  "tls://a/b",
  "udp://a@b",
]) {
  test(`refuses "${text}" as an address`, () =>
    assert.throws(
      () => parseSyslogAddress("k", text),
      (error) => isMezError(error, "CONFIG_INVALID"),
    ));
}

for (const [name, transport] of [
  ["tcp", new StreamTransport("localhost:1", overTcp("localhost", 1))],
  ["unix", new UnixTransport("/nonexistent/log")],
] as const) {
  test(`says that nobody listens: ${name}`, () =>
    assert.rejects(transport.send([Buffer.from("x")], signal()), (error) => isMezError(error, "UNAVAILABLE")));
}

test("writes the local form for the socket of the machine", () => {
  assert.match(
    toLocalMessage(event(7), ORIGIN, 4096).toString("latin1"),
    /^<158>(Feb 28|Mar {2}[12]) \d\d:\d\d:00 mezite\[42\]: MZ1000 \{"seq":7,/,
  );
});

function portOf({ address }: RunningRsyslog): number {
  return Number(/\d+$/.exec(address)?.[0]);
}

function jsonOf(message: ReceivedMessage | undefined): unknown {
  const text = message?.text ?? "";
  return JSON.parse(text.slice(text.indexOf("{")));
}

for (const [protocol, transportTo] of [
  ["tcp", (port: number) => new StreamTransport("rsyslog", overTcp("localhost", port))],
  ["unix", (_port: number, path: string) => new UnixTransport(path)],
] as const) {
  testAuditForwarder(
    `syslog over ${protocol}`,
    async () => {
      const server = await RunningRsyslog.start(protocol);
      const forwarder = new SyslogForwarder(transportTo(portOf(server), server.address.slice("unix:".length)), ORIGIN);
      return {
        forwarder,
        received: () => server.received.map(jsonOf),
        away: () => server.pause(),
        back: () => server.resume(),
        close: async () => {
          await forwarder.dispose();
          await server.close();
        },
      };
    },
    needsPeers("rsyslogd"),
  );
}

suite("audit events in rsyslog", needsPeers("rsyslogd", "rsyslog-openssl"), () => {
  for (const [protocol, transportTo] of [
    ["unix", ({ address }) => new UnixTransport(address.slice(5))],
    ["udp", (server) => new UdpTransport("127.0.0.1", portOf(server))],
    ["tcp", (server) => new StreamTransport("rsyslog", overTcp("localhost", portOf(server)))],
    [
      "tls",
      (server) =>
        new StreamTransport(
          "rsyslog",
          overTls("localhost", portOf(server), { caFile: server.caFile, certificateFile: "", keyFile: "" }),
        ),
    ],
  ] as readonly (readonly ["unix" | "udp" | "tcp" | "tls", (server: RunningRsyslog) => SyslogTransport])[]) {
    test(`understands them over ${protocol}, also after it was restarted`, async (t) => {
      const server = await RunningRsyslog.start(protocol);
      t.after(() => server.close());
      const forwarder = new SyslogForwarder(transportTo(server), ORIGIN);
      t.after(() => forwarder.dispose());
      await forwarder.deliver([event(1), event(2, { metadata: "x".repeat(5_000) })], signal());
      const [first, second] = await eventually(() => server.received.length === 2 && server.received);
      const isLocal = protocol === "unix";
      assert.deepEqual([first?.priority, first?.application], ["158", "mezite"]);
      if (!isLocal) assert.deepEqual([first?.host, first?.messageId], ["auth-01", "MZ1000"]);
      else assert.match(first?.text ?? "", /^MZ1000 {/);
      assert.equal((jsonOf(first) as { user_name: string }).user_name, "jürgen 🔑");
      assert.equal((jsonOf(second) as { metadata: string }).metadata.length, 5_000);
      await server.pause();
      await server.resume();
      await eventually(async () => {
        await forwarder.deliver([event(3)], signal());
        return true;
      });
      await eventually(() => server.received.some((message) => (jsonOf(message) as { seq: number }).seq === 3));
    });
  }

  test("a certificate of somebody else is refused", async (t) => {
    const server = await RunningRsyslog.start("tls");
    t.after(() => server.close());
    const files = { caFile: "", certificateFile: "", keyFile: "" };
    const forwarder = new SyslogForwarder(new StreamTransport("rsyslog", overTls("localhost", portOf(server), files)), ORIGIN);
    await assert.rejects(
      forwarder.deliver([event(1)], signal()),
      (error) => isMezError(error, "UNAVAILABLE") && /certificate/.test(error.message),
    );
    assert.deepEqual(server.received, []);
  });
});
