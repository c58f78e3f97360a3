import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { before, test } from "node:test";
import { connect as connectTls } from "node:tls";
import { MAX_HELLO_BYTES, readClientHello } from "./public-port-client-hello.js";

let real: Buffer;
before(async () => {
  real = await helloOf(["mezite-tunnel", "h2"]);
});

test("reads the protocols that a real client offers, and none when it offers none", async () => {
  assert.deepEqual(readClientHello(real), { kind: "hello", protocols: ["mezite-tunnel", "h2"] });
  assert.deepEqual(readClientHello(await helloOf([])), { kind: "hello", protocols: [] });
});

test("wants more until the last byte is there, and looks at nothing after it", () => {
  for (let length = 0; length < real.length; length += 1)
    assert.equal(readClientHello(real.subarray(0, length)).kind, "incomplete", `${length} bytes`);
  assert.equal(readClientHello(Buffer.concat([real, Buffer.from("anything")])).kind, "hello");
});

for (const sizes of [[1], [2, 1], [3, 200], [4], [100]]) {
  test(`reads one that comes in records of ${sizes.join(" and ")} bytes`, () => {
    const message = real.subarray(5);
    const records: Buffer[] = [];
    let at = 0;
    for (const size of sizes) {
      records.push(record(message.subarray(at, at + size)));
      at += size;
    }
    records.push(record(message.subarray(at)));
    assert.deepEqual(readClientHello(Buffer.concat(records)), { kind: "hello", protocols: ["mezite-tunnel", "h2"] });
    assert.equal(readClientHello(Buffer.concat(records).subarray(0, -1)).kind, "incomplete");
  });
}

test("refuses more records than a client makes", () => {
  const records = Array.from({ length: 40 }, (_, index) => record(real.subarray(5 + index, 6 + index)));
  assert.equal(readClientHello(Buffer.concat(records)).kind, "malformed");
});

for (const [what, bytes] of [
  ["another record type", Buffer.from([23, 3, 1, 0, 5])],
  ["another version of the record layer", Buffer.from([22, 2])],
  ["an empty record", Buffer.from([22, 3, 1, 0, 0])],
  ["a record that is too long", Buffer.from([22, 3, 1, 0x40, 1])],
  ["another handshake message", record(Buffer.from([2, 0, 0, 1, 0]))],
  ["a ClientHello that is too long", record(Buffer.from([1, 0, 0x40, 0]))],
  ["SSH", Buffer.from("SSH-2.0-OpenSSH_9.9\r\n")],
  ["a body that ends too early", hello(Buffer.alloc(10))],
  ["a session id of 33 bytes", hello(Buffer.concat([Buffer.alloc(34), Buffer.from([33]), Buffer.alloc(40)]))],
  ["an odd list of cipher suites", hello(Buffer.concat([Buffer.alloc(34), Buffer.from([0, 0, 1, 0, 1, 0])]))],
  ["no compression method", hello(Buffer.concat([Buffer.alloc(34), Buffer.from([0, 0, 2, 0, 0, 0])]))],
  ["bytes after the extensions", withExtensions(Buffer.alloc(0), Buffer.from([0]))],
  ["an extension beyond the end", withExtensions(Buffer.from([0, 16, 0, 9, 0]))],
  ["an empty list of protocols", withExtensions(Buffer.from([0, 16, 0, 2, 0, 0]))],
  ["an empty protocol", withExtensions(Buffer.from([0, 16, 0, 3, 0, 1, 0]))],
  ["a protocol beyond the end", withExtensions(Buffer.from([0, 16, 0, 4, 0, 2, 2, 104]))],
  ["bytes after the list of protocols", withExtensions(Buffer.from([0, 16, 0, 5, 0, 2, 1, 104, 0]))],
  ["an extension that comes twice", withExtensions(Buffer.from([0, 16, 0, 4, 0, 2, 1, 104, 0, 16, 0, 4, 0, 2, 1, 104]))],
] as const) {
  test(`refuses ${what}`, () => assert.equal(readClientHello(bytes).kind, "malformed"));
}

test("reads the shortest there is", () => {
  assert.deepEqual(readClientHello(withExtensions(Buffer.from([0, 16, 0, 5, 0, 3, 2, 104, 50]))), {
    kind: "hello",
    protocols: ["h2"],
  });
  assert.deepEqual(readClientHello(hello(start())), { kind: "hello", protocols: [] });
});

test("ends with an answer whatever byte is changed, and whatever is sent", () => {
  for (let at = 0; at < real.length; at += 1) {
    const changed = Buffer.from(real);
    changed[at] = (changed[at] as number) ^ 0xff;
    assert.match(readClientHello(changed).kind, /^(hello|incomplete|malformed)$/);
  }
  assert.equal(readClientHello(Buffer.alloc(MAX_HELLO_BYTES, 22)).kind, "malformed");
  assert.equal(
    readClientHello(record(Buffer.concat([Buffer.from([1, 0, 0x3f, 0xfc]), Buffer.alloc(16_380)])).subarray(0, MAX_HELLO_BYTES))
      .kind,
    "malformed",
  );
});

// --- internal ---

/** Version, random, no session id, one cipher suite, one compression method. */
function start(): Buffer {
  return Buffer.concat([Buffer.alloc(34), Buffer.from([0, 0, 2, 0x13, 1, 1, 0])]);
}

function record(fragment: Buffer): Buffer {
  const header = Buffer.from([22, 3, 1, 0, 0]);
  header.writeUInt16BE(fragment.length, 3);
  return Buffer.concat([header, fragment]);
}

function hello(body: Buffer): Buffer {
  const header = Buffer.from([1, 0, 0, 0]);
  header.writeUIntBE(body.length, 1, 3);
  return record(Buffer.concat([header, body]));
}

function withExtensions(extensions: Buffer, after: Buffer = Buffer.alloc(0)): Buffer {
  const length = Buffer.alloc(2);
  length.writeUInt16BE(extensions.length);
  return hello(Buffer.concat([start(), length, extensions, after]));
}

/** The first bytes of this Node's own TLS client. */
async function helloOf(protocols: string[]): Promise<Buffer> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const client = connectTls({ port: (server.address() as AddressInfo).port, host: "127.0.0.1", ALPNProtocols: protocols });
  client.on("error", () => {});
  const [socket] = (await once(server, "connection")) as [Socket];
  const [bytes] = (await once(socket, "data")) as [Buffer];
  client.destroy();
  socket.destroy();
  server.close();
  return bytes;
}
