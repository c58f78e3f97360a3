import {
  createHash,
  createPublicKey,
  decapsulate,
  diffieHellman,
  encapsulate,
  generateKeyPairSync,
  type KeyObject,
} from "node:crypto";
import { MLKEM_ALIAS, MLKEM768_X25519 } from "./algorithms.js";
import { type KexInit, type KeyExchange, requireSsh2 } from "./ssh2-internals.js";

/**
 * Adds `mlkem768x25519-sha256` in both roles. ssh2 negotiates it under an alias of its own; on the wire and in the
 * exchange hash stand the true name and the true bytes.
 * @see draft-ietf-sshm-mlkem-hybrid-kex
 */
export function installKeyExchangeNames(): void {
  const readers =
    requireSsh2<Record<"PacketReader" | "ZlibPacketReader", { prototype: { read(data: Buffer): Buffer } }>>(
      "lib/protocol/zlib.js",
    );
  for (const { prototype } of [readers.PacketReader, readers.ZlibPacketReader]) {
    const { read } = prototype;
    prototype.read = function (data) {
      const payload = read.call(this, data);
      return payload[0] === KEXINIT ? renameInKexInit(payload) : payload;
    };
  }
}

/** Renames in the list that is negotiated on; what is sent was made before and keeps the true name. Once per offer. */
export function renameInOffer(offer: KexInit): void {
  if (renamedOffers.has(offer)) return;
  renamedOffers.add(offer);
  offer.lists.kex.array = offer.lists.kex.array.map(internalName);
}

/** Gives the exchange its true KEXINIT bytes back, and its own methods if the hybrid was negotiated. */
export function prepareKeyExchange(exchange: KeyExchange): void {
  exchange._remoteKexinit = trueBytes.get(exchange._remoteKexinit) ?? exchange._remoteKexinit;
  if (exchange.negotiated.kex !== MLKEM_ALIAS) return;
  exchange.negotiated.kex = MLKEM768_X25519;
  Object.assign(exchange, exchange._protocol._server ? serverSide() : clientSide(), {
    type: "mlkem768x25519",
    hashName: "sha256",
  });
}

// --- internal ---

const KEXINIT = 20;
const PARKED = "parked@invalid"; // where a peer's genuine alias goes: we never offer it, so it must never match
const KEM_PUBLIC_BYTES = 1184; // FIPS 203, table 3
const KEM_CIPHERTEXT_BYTES = 1088;
const X25519_BYTES = 32;
const KEM_SPKI_PREFIX = Buffer.from("308204b2300b0609608648016503040402038204a100", "hex");
const X25519_SPKI_PREFIX = Buffer.from("302a300506032b656e032100", "hex"); // RFC 8410, 4

const renamedOffers = new WeakSet<KexInit>();
/** Renamed payload -> payload as received. */
const trueBytes = new WeakMap<Buffer, Buffer>();

type ExchangeMethods = Pick<KeyExchange, "generateKeys" | "getPublicKey" | "convertPublicKey" | "computeSecret">;

function internalName(name: string): string {
  if (name === MLKEM768_X25519) return MLKEM_ALIAS;
  return name === MLKEM_ALIAS ? PARKED : name;
}

function renameInKexInit(payload: Buffer): Buffer {
  if (payload.length < 21) return payload;
  const length = payload.readUInt32BE(17);
  if (length > payload.length - 21) return payload; // malformed: ssh2's own check refuses it
  const offered = payload.toString("latin1", 21, 21 + length);
  const renamed = offered.split(",").map(internalName).join(",");
  if (renamed === offered) return payload;
  const size = Buffer.alloc(4);
  size.writeUInt32BE(renamed.length);
  const result = Buffer.concat([payload.subarray(0, 17), size, Buffer.from(renamed, "latin1"), payload.subarray(21 + length)]);
  trueBytes.set(result, Buffer.from(payload)); // a copy: the decipher may reuse its buffer
  return result;
}

function clientSide(): ExchangeMethods {
  let privateKeys: { kem: KeyObject; x25519: KeyObject } | null = null;
  let offered: Buffer | null = null;
  return {
    generateKeys() {
      if (offered !== null) return;
      const kem = generateKeyPairSync("ml-kem-768");
      const x25519 = generateKeyPairSync("x25519");
      privateKeys = { kem: kem.privateKey, x25519: x25519.privateKey };
      offered = Buffer.concat([rawPublic(kem.publicKey, KEM_PUBLIC_BYTES), rawPublic(x25519.publicKey, X25519_BYTES)]);
    },
    getPublicKey() {
      this.generateKeys();
      return offered;
    },
    convertPublicKey: (key) => key,
    computeSecret: (reply) =>
      attempt(() => {
        if (reply.length !== KEM_CIPHERTEXT_BYTES + X25519_BYTES || privateKeys === null)
          throw new Error(`the peer's reply has ${reply.length} bytes`);
        const { kem, x25519 } = privateKeys;
        privateKeys = null;
        const quantum = decapsulate(kem, reply.subarray(0, KEM_CIPHERTEXT_BYTES));
        return combine(quantum, agree(x25519, reply.subarray(KEM_CIPHERTEXT_BYTES)));
      }),
  };
}

function serverSide(): ExchangeMethods {
  let reply: Buffer | null = null; // only known after computeSecret; ssh2 asks in that order
  return {
    generateKeys() {},
    getPublicKey: () => reply,
    convertPublicKey: (key) => key,
    computeSecret: (offered) =>
      attempt(() => {
        if (offered.length !== KEM_PUBLIC_BYTES + X25519_BYTES) throw new Error(`the peer's key has ${offered.length} bytes`);
        const own = generateKeyPairSync("x25519");
        const peer = importPublic(KEM_SPKI_PREFIX, offered.subarray(0, KEM_PUBLIC_BYTES));
        const { sharedKey, ciphertext } = encapsulate(peer); // OpenSSL checks that the key is reduced (FIPS 203, 7.2)
        const classic = agree(own.privateKey, offered.subarray(KEM_PUBLIC_BYTES));
        reply = Buffer.concat([ciphertext, rawPublic(own.publicKey, X25519_BYTES)]);
        return combine(sharedKey, classic);
      }),
  };
}

/** 32 raw bytes; ssh2 frames them with a length, which makes K a `string` as the draft wants, not an `mpint`. */
function combine(quantum: Buffer, classic: Buffer): Buffer {
  const secret = createHash("sha256").update(quantum).update(classic).digest();
  quantum.fill(0);
  classic.fill(0);
  return secret;
}

/** Throws when the result is all zero. @see RFC 8731, 3 */
function agree(privateKey: KeyObject, peer: Buffer): Buffer {
  return diffieHellman({ privateKey, publicKey: importPublic(X25519_SPKI_PREFIX, peer) });
}

function rawPublic(key: KeyObject, length: number): Buffer {
  return key.export({ format: "der", type: "spki" }).subarray(-length);
}

function importPublic(prefix: Buffer, raw: Buffer): KeyObject {
  return createPublicKey({ key: Buffer.concat([prefix, raw]), format: "der", type: "spki" });
}

/** ssh2 takes a returned error as a failed handshake. */
function attempt(compute: () => Buffer): Buffer | Error {
  try {
    return compute();
  } catch (error) {
    return error instanceof Error ? new Error(error.message) : new Error(String(error));
  }
}
