import assert from "node:assert/strict";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";
import { eventually } from "../../test/fixtures/eventually.js";
import { TestAuthority, TestServer } from "../../test/fixtures/ssh/test-server.js";
import { dialSsh } from "./client.js";
import type { SshClientConnection } from "./client-connection.js";
import { generateSshKeyPair } from "./private-key.js";
import type { RelayEnd } from "./relay-end.js";
import { MESSAGE } from "./relayed-channel.js";
import { SessionRelay } from "./session-relay.js";
import { string, uint32 } from "./wire.js";

const message = (type: number, ...fields: readonly Buffer[]) => Buffer.concat([Buffer.of(type), ...fields]);
const opening = (type: string, id: number, window = 1000, packet = 100, ...rest: readonly Buffer[]) =>
  message(MESSAGE.channelOpen, string(type), uint32(id), uint32(window), uint32(packet), ...rest);
const request = (channel: number, type: string, wantsReply: boolean, ...rest: readonly Buffer[]) =>
  message(MESSAGE.channelRequest, uint32(channel), string(type), Buffer.of(wantsReply ? 1 : 0), ...rest);
const globalRequest = (name: string, wantsReply: boolean, ...rest: readonly Buffer[]) =>
  message(MESSAGE.globalRequest, string(name), Buffer.of(wantsReply ? 1 : 0), ...rest);

/** One side that says whatever the test wants. */
class RawEnd {
  readonly heard: Buffer[] = [];

  constructor(readonly end: RelayEnd) {
    end.start((payload) => void this.heard.push(Buffer.from(payload)));
  }

  say(payload: Buffer): void {
    this.end.send(payload);
  }

  hears(type: number): Promise<Buffer> {
    return eventually(() => this.heard.find((payload) => payload[0] === type));
  }
}

describe("ends of a relay that break the rules", () => {
  let authority: TestAuthority;
  let proxy: TestServer;
  let machine: TestServer;
  let proxyPort: number;
  let client: RawEnd;
  let node: RawEnd;
  let opened: ((end: RawEnd) => void) | null = null;
  const starts: string[] = [];

  before(async () => {
    authority = new TestAuthority();
    machine = new TestServer(authority, { onConnection: (connection) => opened?.(new RawEnd(connection.handOver())) });
    const nodePort = await machine.listen();
    proxy = new TestServer(authority, {
      onConnection: (connection) => {
        const end = connection.handOver();
        void dial(nodePort).then((nodeEnd) => {
          new SessionRelay(end, nodeEnd, {
            ...{ terminal: true, forwarding: true, agentForwarding: true },
            start: ({ command }) => {
              starts.push(command);
              return { witness: null };
            },
            forwards: () => {},
          });
        });
      },
    });
    proxyPort = await proxy.listen();
  });
  after(async () => {
    await proxy.close();
    await machine.close();
    authority.remove();
  });
  beforeEach(async () => {
    const arrived = new Promise<RawEnd>((resolve) => {
      opened = resolve;
    });
    client = new RawEnd(await dial(proxyPort));
    node = await arrived;
  });
  afterEach(() => {
    client.end.fail("the test is over");
    node.end.fail("the test is over");
  });

  async function dial(port: number): Promise<RelayEnd> {
    const key = generateSshKeyPair();
    const hostTrust = { authorities: [authority.hostCa.publicKeyBlob], name: "node1", now: () => new Date() };
    let end: RelayEnd | null = null;
    const onReady = (ready: SshClientConnection) => {
      end = ready.handOver();
    };
    await dialSsh(
      { to: { host: "127.0.0.1", port }, hostTrust, onReady },
      Promise.resolve({ user: "alice", key, certificateBlob: authority.issue("user", key.publicKeyBlob) }),
    );
    if (end === null) throw new Error("the login was not noticed");
    return end;
  }

  /** A session channel that both sides have: the client calls it 7, the node 9. */
  async function channel(): Promise<{ readonly atClient: number; readonly atNode: number }> {
    client.say(opening("session", 7));
    const atNode = (await node.hears(MESSAGE.channelOpen)).readUInt32BE(1 + 4 + "session".length);
    node.say(message(MESSAGE.channelOpenConfirmation, uint32(atNode), uint32(9), uint32(1000), uint32(100)));
    const atClient = (await client.hears(MESSAGE.channelOpenConfirmation)).readUInt32BE(5);
    return { atClient, atNode };
  }

  for (const [what, say] of [
    ["data beyond the window", (id) => message(MESSAGE.channelData, uint32(id), string(Buffer.alloc(1001)))],
    ["data with a wrong length", (id) => message(MESSAGE.channelData, uint32(id), uint32(5), Buffer.alloc(4))],
    ["data for a channel that does not exist", () => message(MESSAGE.channelData, uint32(4711), string("x"))],
    ["a message for a channel that does not exist", () => message(MESSAGE.channelEof, uint32(4711))],
    ["a message that is cut short", () => message(MESSAGE.channelClose, Buffer.of(0, 0))],
    ["a request that is cut short", (id) => message(MESSAGE.channelRequest, uint32(id), uint32(100))],
    ["an answer to a request that nobody made", (id) => message(MESSAGE.channelSuccess, uint32(id))],
    ["an answer to a global request that nobody made", () => message(MESSAGE.requestSuccess)],
    ["a window of more than 32 bits", (id) => message(MESSAGE.channelWindowAdjust, uint32(id), uint32(2 ** 32 - 1))],
    ["a channel with packets of size 0", () => opening("session", 1, 1000, 0)],
    ["a second confirmation", (id) => message(MESSAGE.channelOpenConfirmation, uint32(id), uint32(1), uint32(1), uint32(1))],
  ] as const satisfies readonly (readonly [string, (id: number) => Buffer])[]) {
    for (const side of ["node", "client"] as const) {
      test(`${what}, from the ${side}, ends the connection to it`, async () => {
        const { atClient, atNode } = await channel();
        const liar = side === "node" ? node : client;
        liar.say(say(side === "node" ? atNode : atClient));
        await eventually(() => liar.end.isOver);
      });
    }
  }

  for (const [type, rest] of [
    ["auth-agent@openssh.com", []],
    ["x11", [string("127.0.0.1"), uint32(6000)]],
    ["session", []],
    ["forwarded-tcpip", [string("localhost"), uint32(80), string("192.0.2.1"), uint32(1)]],
    ["forwarded-streamlocal@openssh.com", [string("/run/x"), string("")]],
  ] as const) {
    test(`a node does not get a channel ${type} that nobody asked for`, async () => {
      node.say(opening(type, 3, 1000, 100, ...rest));
      assert.equal((await node.hears(MESSAGE.channelOpenFailure)).readUInt32BE(1), 3);
      assert.equal(client.heard.length, 0);
    });
  }

  test("a node gets a forwarded channel for a port that the client asked for, and for no other", async () => {
    client.say(globalRequest("tcpip-forward", true, string("localhost"), uint32(0)));
    await node.hears(MESSAGE.globalRequest);
    node.say(message(MESSAGE.requestSuccess, uint32(4022)));
    await client.hears(MESSAGE.requestSuccess);
    node.say(opening("forwarded-tcpip", 1, 10, 10, string("localhost"), uint32(4023), string(""), uint32(1)));
    await node.hears(MESSAGE.channelOpenFailure);
    node.say(opening("forwarded-tcpip", 2, 10, 10, string("localhost"), uint32(4022), string(""), uint32(1)));
    await client.hears(MESSAGE.channelOpen);
  });

  test("the client does not hear of the node's host keys, and requests that are not known are refused in their order", async () => {
    node.say(globalRequest("hostkeys-00@openssh.com", false, string("key")));
    node.say(globalRequest("what@example.com", true));
    await node.hears(MESSAGE.requestFailure);
    client.say(globalRequest("keepalive@openssh.com", true));
    client.say(globalRequest("hostkeys-prove-00@openssh.com", true));
    await node.hears(MESSAGE.globalRequest);
    assert.equal(client.heard.length, 0, "the second answer waits for the first");
    node.say(message(MESSAGE.requestSuccess));
    await client.hears(MESSAGE.requestFailure);
    assert.deepEqual(
      client.heard.map(([type]) => type),
      [MESSAGE.requestSuccess, MESSAGE.requestFailure],
    );
  });

  test("a channel runs one program, and requests that are not known do not reach the node", async () => {
    const { atClient } = await channel();
    client.say(request(atClient, "x11-req", true, Buffer.of(0), string("a"), string("b"), uint32(0)));
    await client.hears(MESSAGE.channelFailure);
    starts.length = 0;
    client.say(request(atClient, "exec", false, string("first")));
    client.say(request(atClient, "exec", true, string("second")));
    await eventually(() => client.heard.filter(([type]) => type === MESSAGE.channelFailure).length === 2);
    assert.deepEqual(starts, ["first"]);
    assert.equal(node.heard.filter(([type]) => type === MESSAGE.channelRequest).length, 1);
  });

  test("numbers of channels that were closed can be used again at once", async () => {
    const { atClient, atNode } = await channel();
    client.say(message(MESSAGE.channelClose, uint32(atClient)));
    client.say(opening("session", 7));
    await eventually(() => node.heard.filter(([type]) => type === MESSAGE.channelOpen).length === 2);
    node.say(message(MESSAGE.channelData, uint32(atNode), string("late")));
    node.say(message(MESSAGE.channelClose, uint32(atNode)));
    await client.hears(MESSAGE.channelClose);
    assert.equal(
      client.heard.some(([type]) => type === MESSAGE.channelData),
      false,
    );
    assert.equal(node.end.isOver, false);
  });
});
