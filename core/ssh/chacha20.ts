import { requireNotLoaded, requireSsh2 } from "./ssh2-internals.js";

/**
 * Sends `chacha20-poly1305@openssh.com` to ssh2's JavaScript implementation, also when the native binding serves the
 * other ciphers: the binding's own fails with OpenSSL 3 (`EVP invalid operation`). Each packet still leaves in one write.
 */
export function installChacha20(): void {
  requireNotLoaded("lib/protocol/kex.js");
  const crypto = requireSsh2<CryptoModule>("lib/protocol/crypto.js");
  const { createCipher, createDecipher } = crypto;
  crypto.createCipher = (config) =>
    config.outbound.cipherInfo.sslName === "chacha20" ? inOneWrite(createCipher, config) : createCipher(config);
  crypto.createDecipher = (config) => {
    if (config.inbound.decipherInfo.sslName === "chacha20") config.inbound.forceNative = true;
    return createDecipher(config);
  };
}

// --- internal ---

/** `forceNative` is ssh2's word for "node:crypto instead of our own binding". */
interface CipherConfig {
  readonly outbound: { readonly cipherInfo: { readonly sslName: string }; onWrite(data: Buffer): void; forceNative?: boolean };
  readonly inbound: { readonly decipherInfo: { readonly sslName: string }; forceNative?: boolean };
}

interface Cipher {
  encrypt(packet: Buffer): void;
}

interface CryptoModule {
  createCipher(config: CipherConfig): Cipher;
  createDecipher(config: CipherConfig): unknown;
}

function inOneWrite(createCipher: CryptoModule["createCipher"], config: CipherConfig): Cipher {
  const write = config.outbound.onWrite;
  const parts: Buffer[] = [];
  config.outbound.forceNative = true;
  config.outbound.onWrite = (part) => {
    parts.push(part);
  };
  const cipher = createCipher(config);
  const encrypt = cipher.encrypt.bind(cipher);
  cipher.encrypt = (packet) => {
    encrypt(packet);
    if (parts.length > 0) write(Buffer.concat(parts.splice(0)));
  };
  return cipher;
}
