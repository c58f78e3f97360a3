import { isLent, owned } from "../flow/lent-memory.js";
import { slabPacket } from "./packet-slab.js";
import { fillPadding } from "./padding.js";
import { requireNotLoaded, requireSsh2 } from "./ssh2-internals.js";

/**
 * Takes AES-GCM, the cipher of choice, through memory that is used again: packets that go out are made on a slab, and
 * packets that come in are decrypted where they lie and handed on as lent bytes. Needs ssh2's compiled binding; other
 * ciphers get copies of what is lent.
 * @see RFC 5647
 */
export function installGcmCipher(): void {
  requireNotLoaded("lib/protocol/kex.js");
  const crypto = requireSsh2<CryptoModule>("lib/protocol/crypto.js");
  const { createCipher, createDecipher } = crypto;
  const binding = crypto.bindingAvailable ? requireSsh2<Binding>("lib/protocol/crypto/build/Release/sshcrypto.node") : null;
  crypto.createCipher = (config) => {
    const cipher = createCipher(config);
    if (binding !== null && isGcm(config.outbound.cipherInfo.sslName)) cipher.allocPacket = allocatePacket;
    return cipher;
  };
  crypto.createDecipher = (config) => {
    const { decipherInfo } = config.inbound;
    if (binding === null || !isGcm(decipherInfo.sslName)) return withOwnBytes(createDecipher(config));
    return new GcmDecipher(binding, config.inbound);
  };
}

// --- internal ---

const MAX_PACKET_BYTES = 35_000; // RFC 4253, 6.1
const LENGTH_BYTES = 4;
const TAG_BYTES = 16; // RFC 5647, 7.3
const BLOCK_BYTES = 16;
const CHANNEL_DATA = 94; // RFC 4254, 5.2

interface Inbound {
  readonly onPayload: OnPayload;
  readonly seqno: number;
  readonly decipherInfo: { readonly sslName: string };
  readonly decipherKey: Buffer;
  readonly decipherIV: Buffer;
}

interface CryptoModule {
  readonly bindingAvailable: boolean;
  createCipher(config: CipherConfig): { allocPacket(payloadLength: number): Buffer };
  createDecipher(config: CipherConfig): Decipher;
}

interface CipherConfig {
  readonly outbound: { readonly cipherInfo: { readonly sslName: string } };
  readonly inbound: Inbound;
}

/** `false` and a number stop the parsing there; see `Decipher`. */
type OnPayload = (payload: Buffer) => boolean | number | undefined;

/** @returns Where to go on parsing `data`, or undefined when all of it was used. */
interface Decipher {
  decrypt(data: Buffer, start: number, end: number): number | undefined;
}

interface Binding {
  readonly AESGCMDecipher: new (
    name: string,
    key: Buffer,
    iv: Buffer,
  ) => {
    decrypt(packet: Buffer, length: number, tag: Buffer): void;
    free(): void;
  };
}

function isGcm(name: string): boolean {
  return name.endsWith("-gcm");
}

/** A packet as ssh2 fills it: length, length of the padding, room for the payload; then padding, and room for the tag. */
function allocatePacket(payloadLength: number): Buffer {
  const unpadded = 1 + payloadLength;
  const padding = BLOCK_BYTES - (unpadded % BLOCK_BYTES);
  const paddingLength = padding < 4 ? padding + BLOCK_BYTES : padding; // RFC 4253, 6
  const length = unpadded + paddingLength;
  const packet = slabPacket(LENGTH_BYTES + length + TAG_BYTES) ?? Buffer.allocUnsafe(LENGTH_BYTES + length + TAG_BYTES);
  packet.writeUInt32BE(length, 0);
  packet[LENGTH_BYTES] = paddingLength;
  fillPadding(packet, LENGTH_BYTES + unpadded, paddingLength);
  return packet;
}

class GcmDecipher implements Decipher {
  /** Both are ssh2's: it counts on from the first, and puts another in place of the second while keys are exchanged. */
  inSeqno: number;
  _onPayload: OnPayload;
  /** `null` once its keys are forgotten, which may happen between two packets of one read. */
  #cipher: InstanceType<Binding["AESGCMDecipher"]> | null;
  /** The beginning of a packet whose rest has not come yet. */
  #carry: Buffer | null = null;
  #carried = 0;

  constructor(binding: Binding, { onPayload, seqno, decipherInfo, decipherKey, decipherIV }: Inbound) {
    this.inSeqno = seqno;
    this._onPayload = onPayload;
    this.#cipher = new binding.AESGCMDecipher(decipherInfo.sslName, decipherKey, decipherIV);
  }

  free(): void {
    this.#cipher?.free();
    this.#cipher = null;
  }

  decrypt(data: Buffer, start: number, end: number): number | undefined {
    if (this.#carried === 0) return this.#decryptAll(data, start, end);
    const carried = this.#carried;
    this.#carried = 0;
    const joined = this.#join(data, start, end, carried);
    const next = this.#decryptAll(joined, 0, joined.length);
    return next === undefined ? undefined : next - carried + start;
  }

  #decryptAll(data: Buffer, start: number, end: number): number | undefined {
    let position = start;
    while (position < end && this.#cipher !== null) {
      if (end - position < LENGTH_BYTES) return this.#keep(data, position, end);
      const length = data.readUInt32BE(position);
      if (length + LENGTH_BYTES + TAG_BYTES > MAX_PACKET_BYTES || length < BLOCK_BYTES || length % BLOCK_BYTES !== 0)
        throw new Error(`Bad packet length: ${length}`);
      const tagAt = position + LENGTH_BYTES + length;
      if (tagAt + TAG_BYTES > end) return this.#keep(data, position, end);
      const packet = data.subarray(position + LENGTH_BYTES, tagAt);
      this.#cipher.decrypt(packet, length, data.subarray(tagAt, tagAt + TAG_BYTES));
      position = tagAt + TAG_BYTES;
      this.inSeqno = (this.inSeqno + 1) >>> 0;
      const paddingLength = packet[0] as number;
      if (paddingLength >= length) throw new Error(`Bad padding length: ${paddingLength}`);
      const payload = packet.subarray(1, length - paddingLength);
      const next = this._onPayload(payload[0] === CHANNEL_DATA ? payload : owned(payload));
      if (next !== undefined) return next === false ? position : (next as number);
    }
    return undefined;
  }

  #keep(data: Buffer, start: number, end: number): undefined {
    this.#carry ??= Buffer.allocUnsafeSlow(MAX_PACKET_BYTES);
    this.#carried = data.copy(this.#carry, 0, start, end);
  }

  /** Puts what was carried before the data: where it lies, when there is room. */
  #join(data: Buffer, start: number, end: number, carried: number): Buffer {
    const carry = this.#carry as Buffer;
    const room = data.byteOffset + start;
    if (!isLent(data) || room < carried) return Buffer.concat([carry.subarray(0, carried), data.subarray(start, end)]);
    const joined = Buffer.from(data.buffer, room - carried, carried + end - start);
    carry.copy(joined, 0, 0, carried);
    return joined;
  }
}

/** ssh2's own deciphers keep what they are given, and hand out pieces of it to be kept. */
function withOwnBytes(decipher: Decipher): Decipher {
  const decrypt = decipher.decrypt.bind(decipher);
  decipher.decrypt = (data, start, end) => {
    if (!isLent(data)) return decrypt(data, start, end);
    const next = decrypt(Buffer.from(data.subarray(start, end)), 0, end - start);
    return next === undefined ? undefined : next + start;
  };
  return decipher;
}
