import { createCipheriv, createDecipheriv, createSecretKey, type KeyObject } from "node:crypto";
import { expandLabel, type Suite } from "./key-schedule.js";

const TAG_BYTES = 16;
const HEADER_BYTES = 5;
const IV_BYTES = 12;

/** What the plaintext of an encrypted record is. @see RFC 8446, 5.1 */
export const CONTENT = { changeCipherSpec: 20, alert: 21, handshake: 22, application: 23 } as const;

/** Encrypts or decrypts the records of one direction. @see RFC 8446, 5.2 and 5.3 */
export class RecordKeys {
  readonly #key: KeyObject;
  readonly #iv: Buffer;
  #count = 0;

  constructor(
    private readonly suite: Suite,
    secret: Buffer,
  ) {
    this.#key = createSecretKey(expandLabel(suite, secret, "key", Buffer.alloc(0), suite.keyBytes));
    this.#iv = Buffer.from(expandLabel(suite, secret, "iv", Buffer.alloc(0), IV_BYTES));
  }

  /** A whole record. */
  seal(type: number, content: Buffer): Buffer {
    const length = content.length + 1 + TAG_BYTES;
    const record = Buffer.allocUnsafe(HEADER_BYTES + length);
    record.set([CONTENT.application, 3, 3, length >> 8, length & 255]);
    const cipher = createCipheriv(this.suite.cipher, this.#key, this.#nonce());
    cipher.setAAD(record.subarray(0, HEADER_BYTES));
    cipher.update(content).copy(record, HEADER_BYTES);
    cipher.update(Buffer.from([type])).copy(record, HEADER_BYTES + content.length);
    cipher.final();
    cipher.getAuthTag().copy(record, HEADER_BYTES + content.length + 1);
    return record;
  }

  /** @param record Whole. @throws {Error} when it is not authentic */
  open(record: Buffer): { readonly type: number; readonly content: Buffer } {
    const decipher = createDecipheriv(this.suite.cipher, this.#key, this.#nonce());
    decipher.setAAD(record.subarray(0, HEADER_BYTES));
    decipher.setAuthTag(record.subarray(-TAG_BYTES));
    const plain = decipher.update(record.subarray(HEADER_BYTES, -TAG_BYTES));
    decipher.final();
    let end = plain.length - 1;
    while (plain[end] === 0) end -= 1;
    return { type: plain[end] ?? 0, content: plain.subarray(0, end) };
  }

  #nonce(): Buffer {
    const nonce = Buffer.from(this.#iv);
    nonce.writeUInt32BE((nonce.readUInt32BE(IV_BYTES - 4) ^ this.#count) >>> 0, IV_BYTES - 4);
    this.#count += 1;
    return nonce;
  }
}
