import type { Subscriber } from "../events/event-lane.js";
import { eventTopic } from "../events/outbox.js";
import type { Permission } from "../plugin/caller.js";
import type { CallContext, RpcDefinition, RpcHandlers } from "../plugin/rpc.js";
import type { WebHandler } from "../plugin/web.js";
import type { CallRoute } from "../rpc/call-route.js";
import { type ServedRoute, WebRouteTable } from "../web/route-table.js";
import { type Generation, resolverOf } from "./generation.js";
import type { PluginInstance } from "./instance.js";

type AnyHandler = (request: unknown, call: CallContext) => Promise<unknown> | AsyncIterable<unknown>;

/** Who answers which call or web request and hears which event in one generation. Built once, replaced whole. */
export class DispatchTable {
  readonly #routes = new Map<string, CallRoute>();
  readonly webRoutes: WebRouteTable;
  readonly #subscribers = new Map<string, Subscriber[]>();

  /** @param ownRoutes Web routes of the core itself. */
  constructor(generation: Generation, ownRoutes: readonly ServedRoute[]) {
    const webRoutes = [...ownRoutes];
    for (const instance of generation.instances) {
      const built = handlersOf(instance);
      for (const [path, route] of built.routes) this.#routes.set(path, route);
      webRoutes.push(...built.webRoutes);
      for (const [topic, subscriber] of built.subscribers) {
        this.#subscribers.set(topic, [...(this.#subscribers.get(topic) ?? []), subscriber]);
      }
    }
    this.webRoutes = new WebRouteTable(webRoutes);
  }

  route(service: string, method: string): CallRoute | null {
    return this.#routes.get(`${service}/${method}`) ?? null;
  }

  subscribers(topic: string): readonly Subscriber[] {
    return this.#subscribers.get(topic) ?? [];
  }

  /** Those of all topics. */
  allSubscribers(): readonly Subscriber[] {
    return [...this.#subscribers.values()].flat();
  }
}

// --- internal ---

interface Built {
  readonly routes: readonly (readonly [string, CallRoute])[];
  readonly webRoutes: readonly ServedRoute[];
  readonly subscribers: readonly (readonly [string, Subscriber])[];
}

const NOTHING_KEPT = (): void => undefined;

const builtOnce = new WeakMap<PluginInstance, Built>();

function handlersOf(instance: PluginInstance): Built {
  const known = builtOnce.get(instance);
  if (known !== undefined) return known;
  const resolve = resolverOf(instance);
  const routes = instance.declarations.rpc.flatMap(({ service, handlers }) => routesOf(instance, service, handlers(resolve)));
  const subscribers = instance.declarations.subscribers.map(
    ({ event, subscriber, everyServer, missed }) =>
      [
        eventTopic(event),
        { owner: instance.id, everyServer, tell: subscriber(resolve), missed: missed?.(resolve) ?? NOTHING_KEPT },
      ] as const,
  );
  const built = { routes, webRoutes: webRoutesOf(instance), subscribers };
  builtOnce.set(instance, built);
  return built;
}

function routesOf(
  instance: PluginInstance,
  service: {
    readonly name: string;
    readonly definition: RpcDefinition;
    readonly permissions: Readonly<Record<string, Permission | "public">>;
  },
  handlers: RpcHandlers<RpcDefinition>,
): readonly (readonly [string, CallRoute])[] {
  const holders = new Map(
    instance.manifest.contributes?.permissions?.map(({ permission, grantedTo }) => [permission, grantedTo]),
  );
  return Object.keys(service.definition).map((method) => {
    const permission = service.permissions[method] as Permission | "public";
    const handler = (handlers as unknown as Readonly<Record<string, AnyHandler>>)[method] as AnyHandler;
    const route: CallRoute = {
      permission,
      holders: holders.get(permission) ?? [],
      handler: (request, call) => handler.call(handlers, request, call),
      lease: () => instance.lease(),
    };
    return [`${service.name}/${method}`, route] as const;
  });
}

function webRoutesOf(instance: PluginInstance): readonly ServedRoute[] {
  return instance.declarations.web.flatMap(({ routes, handlers }) => {
    const made = handlers(resolverOf(instance));
    return Object.entries(routes).map(([name, route]): ServedRoute => {
      return { route, handler: (request) => (made[name] as WebHandler).call(made, request), lease: () => instance.lease() };
    });
  });
}
