import type { CollectionKind, CollectionSource } from "./collection.js";
import type { Entities, Migrations } from "./database.js";
import type { RpcDefinition, RpcHandlers, RpcService } from "./rpc.js";
import type { WebHandlers, WebRoutes } from "./web.js";

/** Whole number, raised only when a change here breaks a plugin that compiled before. */
export const PLUGIN_API_VERSION = 1;

/** What a process is to the cluster. A combined server has several. */
export type ProcessRole = "auth" | "proxy" | "node" | "identity";

/** Names a service by id and version, so two copies of a module still mean the same service. */
export interface ServiceToken<T> {
  readonly id: string;
  readonly version: number;
  readonly type?: T;
}

/** An extension point that the core defines and plugins fill, e.g. `RECORDING_STORE`, `KEY_BACKEND`. */
export interface Port<T> extends ServiceToken<T> {
  readonly cardinality: "exactly-one" | "at-least-one" | "zero-or-more";
}

/** What fills a port now, by name. Always the state of the current generation, so it may be kept. */
export interface PortView<T> {
  names(): readonly string[];
  /** @throws {MezError} `PLUGIN_NOT_ENABLED` when nothing fills the port under that name. */
  get(name: string): T;
  all(): readonly T[];
}

/** What fills a port that the manifest lists as `late`: of the generation that runs, never of one that is being built. */
export interface LatePortView<T> extends PortView<T> {
  /** Calls `listener` when another generation has taken over, in which something else may fill the port. Returns the way to stop. */
  onChange(listener: () => void): () => void;
}

export interface Resolve {
  /**
   * Looks a service up, or the one implementation of an exactly-one port.
   * @throws {MezError} `SERVICE_NOT_REQUIRED` for one that the manifest does not list. The core's own need no listing.
   */
  <T>(token: ServiceToken<T>): T;
  /** `null` when no enabled plugin provides the service; the manifest lists it as `optional`. */
  optional<T>(token: ServiceToken<T>): T | null;
  /**
   * The service as it is whenever the result is called, `null` while nobody provides it; the manifest lists it as `late`.
   * For plugins that cannot be replaced together with the provider, which holds a lease for whatever it has handed out.
   * While a reload builds the next generation, this is still the service of the one that runs.
   */
  late<T>(token: ServiceToken<T>): () => T | null;
  port<T>(port: Port<T>): PortView<T>;
  /**
   * The same for a port that the manifest lists as `late`: what fills it comes and goes without this plugin, and starts before
   * it. Before the first generation runs, its methods throw `UNAVAILABLE`: who asks early must not take silence for a yes.
   */
  latePort<T>(port: Port<T>): LatePortView<T>;
}

/** How to build a service. A function, so that plugins need no DI library of their own. Runs once, and opens nothing. */
export type Factory<T> = (resolve: Resolve) => T;

/** Something that happened, raised inside a transaction and delivered after its commit. */
export interface EventType<Event> {
  readonly name: string;
  readonly version: number;
  readonly type?: Event;
}

export interface EventReach {
  /** Default `false`. */
  readonly everyServer?: boolean;
  /**
   * With `everyServer`: called when events were missed, to let go of what this process keeps of them. That is after the database
   * was away for a minute, and when a thousand events wait for the plugin and the database keeps the others no longer.
   */
  readonly missed?: Factory<() => void> | null;
}

/** The default export of a plugin's entry file. */
export interface Plugin<Config> {
  /** Declares what the plugin contributes. Synchronous and free of I/O: `mezd config check` calls it too. */
  register(host: Registrar, config: Config): void;
}

export interface Registrar {
  /** The roles of this process that the manifest's `runsIn` also names. */
  readonly roles: ReadonlySet<ProcessRole>;
  /** Offers a service to the plugins that list it under `requires`. */
  provide<T>(token: ServiceToken<T>, factory: Factory<T>): void;
  /** Fills a port under a name, e.g. `host.implement(RECORDING_STORE, "local", …)`. */
  implement<T>(port: Port<T>, name: string, factory: Factory<T>): void;
  /** Serves a gRPC service on the auth server; every method needs a permission rule, or registration throws. */
  rpc<Definition extends RpcDefinition>(service: RpcService<Definition>, handlers: Factory<RpcHandlers<Definition>>): void;
  /** Serves routes on the web server of a proxy, each with its access rule. */
  web<Routes extends WebRoutes>(routes: Routes, handlers: Factory<WebHandlers<Routes>>): void;
  /** Its tables and its own migration history. */
  store(entities: Entities, migrations: Migrations): void;
  /** Publishes a collection that proxies, nodes and this process keep a live copy of. */
  publish<T>(kind: CollectionKind<T>, source: Factory<CollectionSource<T>>): void;
  /**
   * Handles an event after the transaction that raised it has committed. A plugin hears events one after the other, in the order
   * of the commits. One that rejects is told again, ten times within a minute; those behind it wait, other plugins do not. May be
   * called twice after a crash. Of several auth servers one does it, or each with `everyServer`: for what a process keeps in
   * memory. A server that was cut from the database for a minute, or that begins, does not hear what happened until then, so what
   * such a subscriber keeps has to become right without it: by `missed`, a short life, or reading before it counts.
   */
  on<Event>(event: EventType<Event>, subscriber: Factory<(event: Event) => Promise<void>>, where?: EventReach): void;
  /** Runs a service through start, drain and dispose, in dependency order. */
  run(factory: Factory<Lifecycle>): void;
}

/** Each hook is optional and is called once. Limits: start 30 s, drain 10 s, dispose 10 s. */
export interface Lifecycle {
  /** Opens sockets, files and timers. Runs after every required plugin has started. A rejection stops the boot. */
  start?(): Promise<void>;
  /** Takes no new work; sessions under way go on. Runs in reverse dependency order. */
  drain?(): Promise<void>;
  /** Frees everything. Runs last, and also after a rejected `start`. */
  dispose?(): Promise<void>;
}

/** Keeps `Config` inferred and checked; returns its argument. */
export function definePlugin<Config>(plugin: Plugin<Config>): Plugin<Config> {
  return plugin;
}
