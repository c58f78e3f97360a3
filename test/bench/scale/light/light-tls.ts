import { type KeyObject, randomBytes, sign } from "node:crypto";
import { connect, type Socket } from "node:net";
import type { ClientHello } from "./client-hello.js";
import { KeySchedule, SUITES, type Suite, type TrafficSecrets } from "./key-schedule.js";
import type { KeyShare } from "./key-share.js";
import { CONTENT, RecordKeys } from "./record-keys.js";

/** Who an agent is in TLS: its own key, P-256, and its own certificate, DER. */
export interface LightIdentity {
  readonly key: KeyObject;
  readonly certificate: Buffer;
}

export interface LightTlsOptions {
  /** On this machine. */
  readonly port: number;
  readonly hello: ClientHello;
  readonly keyShare: KeyShare;
  readonly identity: LightIdentity;
  /** The other side has taken the connection. */
  readonly onConnect?: () => void;
  /** Both have sent their Finished. */
  readonly onSecure: () => void;
  readonly onData: (bytes: Buffer) => void;
  /** Once, whoever closed it, and also when there never was a connection. */
  readonly onClose: () => void;
}

/**
 * A client's connection with TLS 1.3, which costs a tenth of what a `TLSSocket` does in time and memory, so that thousands fit beside
 * what is measured. The server sees what it would see from Node: the same hello, a certificate of the agent's own, a signature, the
 * same ciphers. What it does not see is left out: **whom it speaks to is not checked,** and the keys that secrets are agreed on with are
 * those of the whole process. For simulations only.
 * @see RFC 8446
 */
export class LightTls {
  readonly #socket: Socket;
  #handshake: Handshake | null;
  #rest: Buffer | null = null;
  #reads: RecordKeys | null = null;
  #writes: RecordKeys | null = null;
  #isOver = false;
  readonly #unsent: Buffer[] = [];

  constructor(private readonly options: LightTlsOptions) {
    this.#handshake = { schedule: null, hello: null, secrets: null, suite: null, messages: EMPTY };
    this.#socket = connect({ host: "127.0.0.1", port: options.port, noDelay: true });
    this.#socket
      .once("connect", () => this.#sendHello())
      .on("data", (bytes) => this.#receive(bytes))
      .on("error", () => undefined)
      .once("close", () => this.#close());
  }

  /** What is written in one turn of the event loop leaves together. */
  write(bytes: Buffer): void {
    if (this.#unsent.length === 0) queueMicrotask(() => this.#flush());
    this.#unsent.push(bytes);
  }

  destroy(): void {
    this.#socket.destroy();
  }

  #flush(): void {
    const [keys, bytes] = [this.#writes, Buffer.concat(this.#unsent.splice(0))];
    if (keys === null || this.#isOver) return;
    const records: Buffer[] = [];
    for (let at = 0; at < bytes.length; at += MAX_RECORD_BYTES)
      records.push(keys.seal(CONTENT.application, bytes.subarray(at, at + MAX_RECORD_BYTES)));
    this.#socket.write(records.length === 1 ? (records[0] as Buffer) : Buffer.concat(records));
  }

  #close(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.options.onClose();
  }

  #sendHello(): void {
    const record = this.options.hello.fill(randomBytes(32), this.options.keyShare.shares);
    if (this.#handshake !== null) this.#handshake.hello = record.subarray(RECORD_HEADER_BYTES);
    this.#socket.write(record);
    this.options.onConnect?.();
  }

  #receive(bytes: Buffer): void {
    let unread = this.#rest === null ? bytes : Buffer.concat([this.#rest, bytes]);
    this.#rest = null;
    try {
      while (unread.length >= RECORD_HEADER_BYTES && !this.#isOver) {
        const length = RECORD_HEADER_BYTES + unread.readUInt16BE(3);
        if (unread.length < length) break;
        this.#take(unread.subarray(0, length));
        unread = unread.subarray(length);
      }
    } catch {
      return this.destroy();
    }
    if (unread.length > 0) this.#rest = Buffer.from(unread);
  }

  #take(record: Buffer): void {
    const type = record[0];
    if (type === CONTENT.changeCipherSpec) return;
    if (type === CONTENT.handshake) return this.#takeHello(record.subarray(RECORD_HEADER_BYTES));
    if (type !== CONTENT.application || this.#reads === null) return this.destroy();
    const opened = this.#reads.open(record);
    if (opened.type === CONTENT.application) this.options.onData(opened.content);
    else if (opened.type === CONTENT.handshake) this.#takeMessages(opened.content);
    else this.destroy();
  }

  #takeHello(message: Buffer): void {
    const handshake = this.#handshake;
    if (handshake?.hello == null || handshake.schedule !== null) throw new Error("a second hello");
    const { suite, group, share } = parseServerHello(message);
    const schedule = new KeySchedule(suite, this.options.keyShare.secretWith(group, share));
    schedule.heard(handshake.hello);
    schedule.heard(message);
    handshake.secrets = schedule.handshakeSecrets();
    handshake.schedule = schedule;
    handshake.suite = suite;
    this.#reads = new RecordKeys(suite, handshake.secrets.server);
  }

  #takeMessages(bytes: Buffer): void {
    const handshake = this.#handshake;
    if (handshake === null) return this.#takeLaterMessage(bytes);
    let unread = handshake.messages.length === 0 ? bytes : Buffer.concat([handshake.messages, bytes]);
    while (unread.length >= MESSAGE_HEADER_BYTES) {
      const length = MESSAGE_HEADER_BYTES + unread.readUIntBE(1, 3);
      if (unread.length < length) break;
      handshake.schedule?.heard(unread.subarray(0, length));
      if (unread[0] === MESSAGE.finished) return this.#finish(handshake);
      unread = unread.subarray(length);
    }
    handshake.messages = unread;
  }

  /** Tickets, of which none is ever used. */
  #takeLaterMessage(bytes: Buffer): void {
    if (bytes[0] !== MESSAGE.newSessionTicket) throw new Error(`message ${bytes[0]} is not known`);
  }

  #finish({ schedule, secrets, suite }: Handshake): void {
    if (schedule === null || secrets === null || suite === null) throw new Error("no hello came before");
    const { identity } = this.options;
    const keys = new RecordKeys(suite, secrets.client);
    const application = schedule.applicationSecrets();
    const flight: Buffer[] = [CHANGE_CIPHER_SPEC];
    const say = (type: number, ...parts: readonly Buffer[]): void => {
      const body = Buffer.concat(parts);
      const message = Buffer.concat([header(type, body.length), body]);
      schedule.heard(message);
      flight.push(keys.seal(CONTENT.handshake, message));
    };
    const { certificate } = identity;
    say(
      MESSAGE.certificate,
      EMPTY_CONTEXT,
      uint24(certificate.length + 5),
      uint24(certificate.length),
      certificate,
      NO_EXTENSIONS,
    );
    const signature = sign("sha256", Buffer.concat([SIGNED_PREFIX, schedule.transcriptHash()]), identity.key);
    say(MESSAGE.certificateVerify, ECDSA_SECP256R1_SHA256, uint16(signature.length), signature);
    say(MESSAGE.finished, schedule.finished(secrets.client));
    this.#socket.write(Buffer.concat(flight));
    this.#reads = new RecordKeys(suite, application.server);
    this.#writes = new RecordKeys(suite, application.client);
    this.#handshake = null;
    this.options.onSecure();
  }
}

// --- internal ---

interface Handshake {
  hello: Buffer | null;
  schedule: KeySchedule | null;
  secrets: TrafficSecrets | null;
  suite: Suite | null;
  /** The beginning of one that has not come whole. */
  messages: Buffer;
}

const EMPTY = Buffer.alloc(0);
const RECORD_HEADER_BYTES = 5;
const MAX_RECORD_BYTES = 16_384; // RFC 8446, 5.1
const MESSAGE_HEADER_BYTES = 4;
const MESSAGE = { serverHello: 2, newSessionTicket: 4, certificate: 11, certificateVerify: 15, finished: 20 } as const; // RFC 8446, 4
const CHANGE_CIPHER_SPEC = Buffer.from([20, 3, 3, 0, 1, 1]);
const EMPTY_CONTEXT = Buffer.from([0]);
const NO_EXTENSIONS = uint16(0);
const ECDSA_SECP256R1_SHA256 = Buffer.from([4, 3]); // 4.2.3
const SIGNED_PREFIX = Buffer.from(`${" ".repeat(64)}TLS 1.3, client CertificateVerify\0`); // 4.4.3
const KEY_SHARE_EXTENSION = 51;

/** @see RFC 8446, 4.1.3; one that asks for another hello brings no key of the server, and is refused. */
function parseServerHello(message: Buffer): { suite: Suite; group: number; share: Buffer } {
  if (message[0] !== MESSAGE.serverHello) throw new Error("this is not the server's hello");
  let at = MESSAGE_HEADER_BYTES + 2 + 32;
  at += 1 + message.readUInt8(at); // session id
  const suite = SUITES.get(message.readUInt16BE(at));
  if (suite === undefined) throw new Error("the server chose a cipher suite that is not known");
  const end = at + 5 + message.readUInt16BE(at + 3);
  for (at += 5; at < end; at += 4 + message.readUInt16BE(at + 2)) {
    if (message.readUInt16BE(at) !== KEY_SHARE_EXTENSION) continue;
    const length = message.readUInt16BE(at + 6);
    return { suite, group: message.readUInt16BE(at + 4), share: message.subarray(at + 8, at + 8 + length) };
  }
  throw new Error("the server sent no key");
}

function header(type: number, length: number): Buffer {
  return Buffer.concat([Buffer.from([type]), uint24(length)]);
}

function uint16(value: number): Buffer {
  return Buffer.from([value >> 8, value & 255]);
}

function uint24(value: number): Buffer {
  return Buffer.from([value >> 16, (value >> 8) & 255, value & 255]);
}
