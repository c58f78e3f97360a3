import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { createCipheriv, randomBytes } from "node:crypto";
import { test } from "node:test";
import { lendDuring, owned } from "../flow/lent-memory.js";
import "./ssh2.js";
import { requireSsh2 } from "./ssh2-internals.js";

const CHANNEL_DATA = 94;
const GLOBAL_REQUEST = 80;

for (const lends of [true, false])
  test(`reads packets that are cut anywhere, ${lends ? "lent" : "in chunks of their own"}`, () => {
    const payloads = Array.from({ length: 60 }, (_, index) =>
      Buffer.concat([Buffer.of(index % 7 === 0 ? GLOBAL_REQUEST : CHANNEL_DATA), randomBytes((index * 977) % 32_768)]),
    );
    const { wire, decipher, received } = session(payloads);
    for (let start = 0, size = 1; start < wire.length; size = (size * 7 + 3) % 70_001) {
      const chunk = wire.subarray(start, start + size);
      read(decipher, chunk, lends);
      start += chunk.length;
    }
    assert.deepEqual(received, payloads);
    assert.equal(decipher.inSeqno, payloads.length);
  });

test("lends the data of channels and gives away everything else", () => {
  const payloads = [CHANNEL_DATA, GLOBAL_REQUEST].map((type) => Buffer.alloc(100, type));
  const kept: Buffer[] = [];
  const { wire, decipher } = session(payloads, (payload) => kept.push(payload));
  const memory = Buffer.allocUnsafeSlow(wire.length);
  wire.copy(memory);
  lendDuring({ memory: memory.buffer, keep: () => () => undefined }, () => decipher.decrypt(memory, 0, memory.length));
  memory.fill(0);
  assert.deepEqual(kept, [Buffer.alloc(100, 0), Buffer.alloc(100, GLOBAL_REQUEST)]);
});

for (const [what, spoil, message] of [
  ["a packet that was changed", (wire: Buffer) => wire.writeUInt8(wire.readUInt8(20) ^ 1, 20), /./],
  ["a packet that is too long", (wire: Buffer) => wire.writeUInt32BE(35_000, 0), /Bad packet length: 35000/],
  ["a packet of half blocks", (wire: Buffer) => wire.writeUInt32BE(40, 0), /Bad packet length: 40/],
] as const)
  test(`refuses ${what}`, () => {
    const { wire, decipher, received } = session([Buffer.alloc(64, CHANNEL_DATA)]);
    spoil(wire);
    assert.throws(() => read(decipher, wire, true), message);
    assert.deepEqual(received, []);
  });

test("refuses a packet that claims more padding than it has", () => {
  const { key, iv, decipher } = session([]);
  const cipher = createCipheriv("aes-128-gcm", key, iv);
  const length = Buffer.of(0, 0, 0, 16);
  cipher.setAAD(length);
  const body = Buffer.concat([cipher.update(Buffer.alloc(16, 200)), cipher.final()]);
  const wire = Buffer.concat([length, body, cipher.getAuthTag()]);
  assert.throws(() => read(decipher, wire, true), /Bad padding length: 200/);
});

test("reads nothing more once its keys are forgotten", () => {
  const { wire, decipher, received } = session([Buffer.alloc(32, CHANNEL_DATA), Buffer.alloc(32, CHANNEL_DATA)], () =>
    decipher.free(),
  );
  assert.equal(decipher.decrypt(wire, 0, wire.length), undefined);
  assert.equal(received.length, 0);
  assert.equal(decipher.decrypt(wire, 0, wire.length), undefined);
});

test("ciphers are collected while no JavaScript runs, and the process goes on", () => {
  const child = spawnSync(
    process.execPath,
    ["--max-semi-space-size=1", "--import", "reflect-metadata", "--input-type=module", "-e", COLLECTING],
    {
      encoding: "utf8",
    },
  );
  assert.deepEqual([child.status, child.stdout, child.stderr], [0, "went on\n", ""]);
});

// --- internal ---

/** Makes what a thousand connections leave behind, and enough garbage for a collection of the young. */
const COLLECTING = `
  await import(${JSON.stringify(new URL("./ssh2.js", import.meta.url).href)});
  const { requireSsh2 } = await import(${JSON.stringify(new URL("./ssh2-internals.js", import.meta.url).href)});
  const { CIPHER_INFO, createCipher, createDecipher } = requireSsh2("lib/protocol/crypto.js");
  const info = CIPHER_INFO["aes128-gcm@openssh.com"];
  const key = Buffer.alloc(16), iv = Buffer.alloc(12), end = { seqno: 0, onWrite() {}, onPayload() {} };
  for (let i = 0; i < 1_000; i++) {
    createCipher({ outbound: { ...end, cipherInfo: info, cipherKey: key, cipherIV: iv } });
    createDecipher({ inbound: { ...end, decipherInfo: info, decipherKey: key, decipherIV: iv } });
  }
  for (let i = 0, kept = []; i < 1_000_000; i++) kept[i % 1000] = { i };
  console.log("went on");`;

interface Decipher {
  readonly inSeqno: number;
  decrypt(data: Buffer, start: number, end: number): number | undefined;
  free(): void;
}

interface CryptoModule {
  readonly CIPHER_INFO: Readonly<Record<string, object>>;
  createCipher(config: object): { allocPacket(length: number): Buffer; encrypt(packet: Buffer): void };
  createDecipher(config: object): Decipher;
}

/** What ssh2's cipher makes of the payloads, and the decipher for it. */
function session(payloads: readonly Buffer[], onPayload?: (payload: Buffer) => void) {
  const crypto = requireSsh2<CryptoModule>("lib/protocol/crypto.js");
  const info = crypto.CIPHER_INFO["aes128-gcm@openssh.com"];
  const [key, iv] = [randomBytes(16), randomBytes(12)];
  const packets: Buffer[] = [];
  const received: Buffer[] = [];
  const take = onPayload ?? ((payload: Buffer) => received.push(Buffer.from(owned(payload))));
  const inbound = { onPayload: (payload: Buffer) => void take(payload), seqno: 0, decipherInfo: info };
  const outbound = { onWrite: (packet: Buffer) => packets.push(Buffer.from(packet)), seqno: 0, cipherInfo: info };
  const cipher = crypto.createCipher({ outbound: { ...outbound, cipherKey: key, cipherIV: Buffer.from(iv) } });
  for (const payload of payloads) {
    const packet = cipher.allocPacket(payload.length);
    payload.copy(packet, 5);
    cipher.encrypt(packet);
  }
  const decipher = crypto.createDecipher({ inbound: { ...inbound, decipherKey: key, decipherIV: Buffer.from(iv) } });
  return { wire: Buffer.concat(packets), key, iv, decipher, received };
}

/** Gives a chunk to the decipher, behind the room that a socket's memory has. */
function read(decipher: Decipher, chunk: Buffer, lends: boolean): void {
  if (!lends) return void decipher.decrypt(Buffer.from(chunk), 0, chunk.length);
  const buffer = Buffer.allocUnsafeSlow(36 * 1024 + chunk.length);
  const area = buffer.subarray(36 * 1024);
  chunk.copy(area);
  lendDuring({ memory: buffer.buffer, keep: () => () => undefined }, () => decipher.decrypt(area, 0, area.length));
  buffer.fill(0);
}
