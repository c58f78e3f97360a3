import { createPrivateKey, X509Certificate } from "node:crypto";
import { closeSync, fstatSync, openSync, readFileSync, statSync } from "node:fs";
import { createSecureContext } from "node:tls";
import { isMezError, MezError, messageOf } from "../errors/error.js";
import { systemReason } from "../errors/system-reason.js";
import type { Logger } from "../plugin/logger.js";
import { Secret } from "../plugin/secret.js";
import type { WebCertificate } from "../plugin/web-door.js";

export interface CertificatePaths {
  readonly certificate: string;
  readonly key: string;
}

/** A certificate and its key in files that somebody else renews, e.g. an ACME client. */
export class CertificateFiles {
  #current: WebCertificate;
  #seen: string;
  #timer: NodeJS.Timeout | null = null;

  /** @throws {MezError} `CONFIG_INVALID` */
  constructor(
    private readonly paths: CertificatePaths,
    private readonly logger: Logger,
  ) {
    this.#seen = this.#state();
    this.#current = readCertificate(paths);
  }

  current(): WebCertificate {
    return this.#current;
  }

  /** Looks at the files every few seconds: folders that are swapped by a link tell no watcher. What cannot be used is not taken. */
  watch(onChange: () => void, everySeconds = 5): void {
    this.#timer = setInterval(() => this.#look(onChange), everySeconds * 1000).unref();
  }

  close(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
  }

  #look(onChange: () => void): void {
    const state = this.#state();
    if (state === this.#seen) return;
    this.#seen = state;
    try {
      this.#current = readCertificate(this.paths);
    } catch (error) {
      return this.logger.warn(`the web certificate stays as it is: ${messageOf(error)}`);
    }
    const { validTo } = new X509Certificate(this.#current.certificatePem);
    this.logger.info("web certificate replaced", { expires: new Date(validTo).toISOString() });
    onChange();
  }

  #state(): string {
    return Object.values(this.paths).map(stateOf).join();
  }
}

// --- internal ---

function stateOf(path: string): string {
  try {
    const { ino, mtimeMs, size } = statSync(path);
    return `${ino} ${mtimeMs} ${size}`;
  } catch (error) {
    return systemReason(error);
  }
}

function readCertificate({ certificate, key }: CertificatePaths): WebCertificate {
  const certificatePem = readPem("certificate", certificate);
  const privateKeyPem = readPem("key", key);
  const leaf = parse("certificate", certificate, () => new X509Certificate(certificatePem));
  const own = parse("key", key, () => createPrivateKey(privateKeyPem));
  if (!leaf.checkPrivateKey(own)) throw invalid("key", key, "it is not the key of the certificate");
  parse("certificate", certificate, () => createSecureContext({ cert: certificatePem, key: privateKeyPem }));
  return { certificatePem, privateKeyPem: new Secret(privateKeyPem) };
}

function readPem(name: keyof CertificatePaths, path: string): string {
  try {
    const file = openSync(path, "r");
    try {
      if (name === "key" && fstatSync(file).mode & 0o007) throw invalid(name, path, "others may read or change it; chmod o= it");
      return readFileSync(file, "utf8");
    } finally {
      closeSync(file);
    }
  } catch (cause) {
    throw isMezError(cause) ? cause : invalid(name, path, systemReason(cause), cause);
  }
}

function parse<T>(name: string, path: string, read: () => T): T {
  try {
    return read();
  } catch (cause) {
    throw invalid(name, path, "it is not PEM, or not of a kind that TLS can use", cause);
  }
}

function invalid(name: string, path: string, why: string, cause?: unknown): MezError {
  return new MezError("CONFIG_INVALID", `proxy.web_tls.${name} ${path}: ${why}`, { cause });
}
