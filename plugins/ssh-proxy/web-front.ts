import type { Socket } from "node:net";
import type { WebCertificate, WebDoor, WebDoorSettings } from "../../core/plugin/web-door.js";
import type { ListenAddress } from "./listen-address.js";
import { TcpPort } from "./tcp-port.js";

export interface WebFrontParts {
  readonly door: WebDoor;
  /** A port for browsers alone; `null` leaves the one for everything. */
  readonly listen: ListenAddress | null;
  /** `host` or `host:port` by which people reach the pages. */
  readonly publicAddress: string;
  readonly certificateFiles: WebDoorSettings["certificateFiles"];
}

/** How browsers come to the web server of this process. */
export class WebFront {
  readonly #port: TcpPort | null;

  constructor(private readonly parts: WebFrontParts) {
    const { listen } = parts;
    this.#port = listen === null ? null : new TcpPort("web_listen_addr", listen, (socket) => this.accept(socket));
  }

  /** @throws {MezError} `ADDRESS_IN_USE`, `ADDRESS_UNUSABLE`, `CONFIG_INVALID` */
  async start(certificate: () => WebCertificate): Promise<void> {
    const { publicAddress, certificateFiles } = this.parts;
    await this.parts.door.open({ certificate, certificateFiles, publicAddress });
    await this.#port?.listen();
  }

  /** `https://host[:port]` for people. */
  get origin(): string | null {
    return this.parts.door.publicOrigin;
  }

  /** Takes a connection that came to another port. */
  accept(socket: Socket): void {
    this.parts.door.accept(socket);
  }

  /** The certificate has changed. */
  refresh(): void {
    this.parts.door.refresh();
  }

  /** Takes no new connections, and answers what was asked. */
  async drain(): Promise<void> {
    this.#port?.close();
    await this.parts.door.drain();
  }

  close(): void {
    this.#port?.close();
    this.parts.door.close();
  }
}
