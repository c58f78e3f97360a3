import type { Socket } from "node:net";
import type { ServiceToken } from "./contract.js";
import type { Secret } from "./secret.js";

/** What the web server shows to browsers. */
export interface WebCertificate {
  /** The leaf first, then what leads to a CA that clients know. */
  readonly certificatePem: string;
  readonly privateKeyPem: Secret;
}

export interface WebDoorSettings {
  /** The certificate of this process, asked for again by `refresh`. */
  readonly certificate: () => WebCertificate;
  /** PEM files that go before it, read again when they change. `null` for none. */
  readonly certificateFiles: { readonly certificate: string; readonly key: string } | null;
  /** `host` or `host:port` by which people reach the pages; its name may be asked for besides those in the certificate. */
  readonly publicAddress: string;
}

/** The web server of a proxy: serves the routes that plugins contribute, on connections that others accept. */
export interface WebDoor {
  /** `https://host[:port]`, by which people reach the pages; `null` while it is closed. */
  readonly publicOrigin: string | null;
  /** @throws {MezError} `CONFIG_INVALID` for certificate files that cannot be used. */
  open(settings: WebDoorSettings): Promise<void>;
  /** Takes a TCP connection whose TLS has not begun. Bytes that were read of it have been put back with `unshift`. */
  accept(connection: Socket): void;
  /** Serves new connections with the certificate that there is now. */
  refresh(): void;
  /** Answers what was asked, then closes every connection. */
  drain(): Promise<void>;
  close(): void;
}

export const WEB_DOOR: ServiceToken<WebDoor> = { id: "core.web-door", version: 1 };
