import { MezError } from "../errors/error.js";
import type { Subscriber } from "../events/event-lane.js";
import type { AuthDoor } from "../plugin/auth-door.js";
import { HOST_IDENTITIES, type HostIdentity } from "../plugin/host-identity.js";
import type { Logger } from "../plugin/logger.js";
import type { ProcessInfo } from "../plugin/process.js";
import { WEB_AUTHENTICATOR } from "../ports/web-authenticator.js";
import { RelayedDoor } from "../rpc/relayed-door.js";
import type { Clock } from "../time/clock.js";
import { ownRoutes } from "../web/own-routes.js";
import type { ServedRoute } from "../web/route-table.js";
import { WebServer } from "../web/web-server.js";
import { AuthListener } from "./auth-listener.js";
import type { ClusterState } from "./cluster-state.js";
import { DispatchTable } from "./dispatch-table.js";
import { Generation } from "./generation.js";

export interface DoorsOptions {
  readonly process: ProcessInfo;
  readonly clock: Clock;
  readonly logger: Logger;
  /** The generation that serves, asked at each call. */
  readonly generation: () => Generation;
  readonly isReady: () => boolean;
}

/** What calls come in by: gRPC of the auth service, or the way to it, and the web. */
export class Doors {
  /** Leads to the auth service of this process, or passes connections on to it. */
  readonly auth: AuthDoor;
  readonly web: WebServer;
  readonly #routes: readonly ServedRoute[];
  #table = new DispatchTable(new Generation(0, []), []);
  #listener: AuthListener | null = null;

  constructor(private readonly options: DoorsOptions) {
    this.#routes = ownRoutes({ ...options.process, isReady: options.isReady });
    this.auth = options.process.roles.has("auth") ? this.#ownDoor() : this.#relayedDoor();
    this.web = new WebServer({
      routes: () => this.#table.webRoutes,
      authenticators: () => [...options.generation().implementations(WEB_AUTHENTICATOR).values()],
      isReady: options.isReady,
      clock: options.clock,
      logger: options.logger,
    });
  }

  /** Where the auth service listens, `null` in a process without it. */
  get authAddress(): string | null {
    return this.#listener?.address ?? null;
  }

  /** Who receives an event, in the generation that serves. */
  subscribers(topic: string | null): readonly Subscriber[] {
    return topic === null ? this.#table.allSubscribers() : this.#table.subscribers(topic);
  }

  /** Leads calls to another generation from now on. */
  serve(generation: Generation): void {
    this.#table = new DispatchTable(generation, this.#routes);
    this.#listener?.serve(generation);
  }

  /**
   * Opens the port of the auth service; does nothing in a process without it.
   * @throws {MezError} `PLUGIN_GRAPH_INVALID` when nobody gives it a certificate, `PORT_UNAVAILABLE`
   */
  async listen(address: string, generation: Generation, state: ClusterState): Promise<void> {
    const collections = state.published;
    if (collections === null) return;
    const identity = generation.provided(HOST_IDENTITIES)?.of("auth");
    if (identity === undefined)
      throw new MezError("PLUGIN_GRAPH_INVALID", "no enabled plugin gives the auth service its certificate");
    this.#listener = new AuthListener({
      generation: this.options.generation,
      route: (service, method) => this.#table.route(service, method),
      collections,
      audit: (record) => state.audit(record),
      clock: this.options.clock,
      logger: this.options.logger,
    });
    await this.#listener.start(address, identity, generation);
  }

  async close(): Promise<void> {
    await this.#listener?.close();
  }

  #ownDoor(): AuthDoor {
    return {
      accept: (connection) => {
        if (this.#listener === null) connection.destroy();
        else this.#listener.accept(connection);
      },
    };
  }

  #relayedDoor(): AuthDoor {
    const { generation, process, logger } = this.options;
    const identity = (): HostIdentity => {
      const identities = generation().provided(HOST_IDENTITIES);
      if (identities === null) throw new MezError("UNAVAILABLE", "this process has no identity in the cluster");
      return identities.of("proxy");
    };
    return new RelayedDoor({ identity, addresses: process.authAddresses, logger });
  }
}
