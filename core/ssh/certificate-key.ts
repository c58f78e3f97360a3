import { CERTIFICATE_ALGORITHMS } from "./algorithms.js";
import { CERTIFICATE_SUFFIX, isCertificateType, parseCertificate } from "./certificate.js";
import type { SshPrivateKey } from "./private-key.js";
import { createSignature, type SignatureAlgorithm, signatureAlgorithmsOf } from "./signature.js";
import { type KeyExchange, type Protocol, requireNotLoaded, requireSsh2, type Ssh2Key } from "./ssh2-internals.js";
import { sendPayload } from "./transport.js";
import { string, WireReader } from "./wire.js";

/**
 * A private key, alone or with its certificate, as ssh2 takes it: for host keys and for logins.
 * An RSA key needs one of these for each hash.
 */
export function ssh2KeysOf(key: SshPrivateKey, certificateBlob: Buffer | null): readonly Ssh2Key[] {
  return signatureAlgorithmsOf(key.type).map((algorithm) => ssh2Key(key, certificateBlob, algorithm));
}

/** Lets ssh2's client read host certificates. Must run before `kex.js` is loaded. */
export function installCertificateParsing(): void {
  requireNotLoaded("lib/protocol/kex.js");
  const keyParser = requireSsh2<KeyParser>("lib/protocol/keyParser.js");
  const { parseDERKey } = keyParser;
  keyParser.parseDERKey = (data, type) => {
    if (!isCertificateType(type)) return parseDERKey(data, type);
    try {
      const { keyType, subjectBlob } = parseCertificate(Buffer.concat([string(type), data]));
      return parseDERKey(subjectBlob.subarray(string(keyType).length), keyType);
    } catch (error) {
      return error instanceof Error ? error : new Error(String(error));
    }
  };
}

/** Lets ssh2's client log in with our keys: signed at once, and under the right algorithm names. */
export function installCertificateLogin(): void {
  const { prototype } = requireSsh2<{ prototype: Protocol }>("lib/protocol/Protocol.js");
  const { authPK } = prototype;
  prototype.authPK = function (user, key, ...rest) {
    const ours = ourKeys.get(key as Ssh2Key);
    if (ours === undefined) return authPK.call(this, user, key, ...rest);
    const request = Buffer.concat([
      Buffer.of(50),
      string(user),
      string("ssh-connection"),
      string("publickey"),
      Buffer.of(1),
      string(ours.wireName),
      string(ours.blob),
    ]);
    const signature = createSignature(
      ours.key,
      Buffer.concat([string(this._kex?.sessionID ?? Buffer.alloc(0)), request]),
      ours.algorithm,
    );
    this._authsQueue.push("publickey");
    sendPayload(this, Buffer.concat([request, string(signature)]));
  };
}

/** Prepares an exchange whose host key is a certificate: signed and checked under the plain algorithm's name. */
export function prepareHostCertificate(exchange: KeyExchange): void {
  const { negotiated } = exchange;
  const wireName = negotiated.serverHostKey;
  const algorithm = CERTIFICATE_ALGORITHMS.get(wireName);
  if (algorithm === undefined) return;
  const { finish, parse } = exchange;
  // Only the first call comes here: ssh2 then replaces `finish` on the object.
  exchange.finish = function (...args) {
    this.negotiated.serverHostKey = algorithm.signature;
    this.negotiated.serverHostKeyWire = wireName;
    return finish.apply(this, args);
  };
  if (exchange._protocol._server || algorithm.certificateType === wireName) return;
  exchange.parse = function (payload) {
    if (this._step === 1) this.negotiated.serverHostKey = algorithm.certificateType;
    return parse.call(this, payload);
  };
}

// --- internal ---

interface KeyParser {
  parseDERKey(data: Buffer, type: string): object | Error;
}

interface OurKey {
  readonly key: SshPrivateKey;
  readonly blob: Buffer;
  readonly algorithm: SignatureAlgorithm;
  readonly wireName: string;
}

const ourKeys = new WeakMap<object, OurKey>();

function ssh2Key(key: SshPrivateKey, certificateBlob: Buffer | null, algorithm: SignatureAlgorithm): Ssh2Key {
  const wireName = certificateBlob === null ? algorithm : algorithm + CERTIFICATE_SUFFIX;
  const blob = certificateBlob ?? key.publicKeyBlob;
  // ssh2 knows its keys by a private symbol, which ours inherit from a parsed one.
  const { parseDERKey } = requireSsh2<KeyParser>("lib/protocol/keyParser.js");
  const made = Object.create(parseDERKey(string(Buffer.alloc(32, 1)), "ssh-ed25519"), {
    type: { value: wireName, enumerable: true },
    getPublicSSH: { value: () => blob },
    getPrivatePEM: { value: () => "" },
    isPrivateKey: { value: () => true },
    sign: { value: (data: Buffer) => innerSignature(createSignature(key, data, algorithm)) },
  }) as Ssh2Key;
  ourKeys.set(made, { key, blob, algorithm, wireName });
  return made;
}

/** ssh2 writes the algorithm name itself. */
function innerSignature(signature: Buffer): Buffer {
  const reader = new WireReader(signature, "signature");
  reader.string();
  return reader.string();
}
