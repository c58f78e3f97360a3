import type { Socket } from "node:net";
import { MezError } from "../errors/error.js";
import { LocalCollections } from "../events/local-collections.js";
import { WATCH_HOLDERS, WATCH_RPC, watchHandlers } from "../events/watch.js";
import type { AuditRecord } from "../plugin/audit.js";
import type { HostIdentity } from "../plugin/host-identity.js";
import type { Logger } from "../plugin/logger.js";
import type { RpcDefinition, RpcService } from "../plugin/rpc.js";
import { AUTHENTICATOR } from "../ports/authenticator.js";
import { AUTHORIZER } from "../ports/authorizer.js";
import type { CallRoute, CallRouter } from "../rpc/call-route.js";
import { AnonymousCallLimiter } from "../rpc/interceptors/limit.js";
import { RpcServer } from "../rpc/server.js";
import type { Clock } from "../time/clock.js";
import type { Generation } from "./generation.js";

const ANONYMOUS_CALLS = { burst: 2000, perSecond: 500 };

export interface AuthListenerOptions {
  readonly generation: () => Generation;
  readonly route: CallRouter;
  readonly collections: LocalCollections;
  readonly audit: (record: AuditRecord) => void;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** The gRPC door of a process with role auth: plugins' services and the core's own watch stream. */
export class AuthListener {
  readonly #server: RpcServer;
  #unlisten: () => void = () => {};
  address: string | null = null;

  constructor(options: AuthListenerOptions) {
    const watch = watchRoute(options.collections);
    this.#server = new RpcServer({
      router: (service, method) => (service === WATCH_RPC.name ? watch : options.route(service, method)),
      authenticators: () => [...options.generation().implementations(AUTHENTICATOR).values()],
      authorizer: () => {
        const [authorizer] = options.generation().implementations(AUTHORIZER).values();
        if (authorizer === undefined)
          throw new MezError("ACCESS_DENIED", "access denied: no enabled plugin decides about permissions");
        return authorizer;
      },
      anonymousCalls: new AnonymousCallLimiter(ANONYMOUS_CALLS, options.clock),
      audit: options.audit,
      isBlind: () => options.collections.isBlind,
      isOutdated: () => options.collections.isOutdated,
      logger: options.logger,
    });
  }

  async start(address: string, identity: HostIdentity, generation: Generation): Promise<void> {
    this.#server.serve(WATCH_RPC as unknown as RpcService<RpcDefinition>);
    this.serve(generation);
    this.address = await this.#server.listen(address, identity.current());
    this.#unlisten = identity.onChange((credentials) => this.#server.use(credentials));
  }

  /** See `AuthDoor`. */
  accept(connection: Socket): void {
    this.#server.accept(connection);
  }

  /** Makes the services of a new generation callable. */
  serve(generation: Generation): void {
    for (const { declarations } of generation.instances) {
      for (const { service } of declarations.rpc) this.#server.serve(service);
    }
  }

  async close(): Promise<void> {
    this.#unlisten();
    await this.#server.close();
  }
}

// --- internal ---

function watchRoute(collections: LocalCollections): CallRoute {
  const handlers = watchHandlers(collections);
  return {
    permission: "cluster:use",
    holders: WATCH_HOLDERS,
    handler: (request, call) => handlers.watch(request as never, call),
    lease: () => () => {},
  };
}
