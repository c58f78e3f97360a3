import "reflect-metadata";
import { type DependencyContainer, instanceCachingFactory, container as rootContainer } from "tsyringe";
import { MezError } from "../errors/error.js";
import type { LatePortView, Lifecycle, Port, PortView, Resolve, ServiceToken } from "../plugin/contract.js";
import { activeIn } from "../plugin/manifest.js";
import { PluginInstance } from "./instance.js";

/** Builds one of the core's own services for a plugin, e.g. a logger that carries its id. */
export type CoreServices = ReadonlyMap<string, (instance: PluginInstance) => unknown>;

/** The generations of a process as the services of an instance see them. */
export interface RunningGenerations {
  latest(): Generation;
  current(): Generation;
  onAdopted(listener: () => void): () => void;
}

/** An immutable set of running plugins, in start order. */
export class Generation {
  readonly #implementations = new Map<string, ReadonlyMap<string, unknown>>();

  constructor(
    readonly number: number,
    readonly instances: readonly PluginInstance[],
  ) {}

  get(id: string): PluginInstance | undefined {
    return this.instances.find((instance) => instance.id === id);
  }

  /** Every implementation of a port, by name. */
  implementations<T>(port: Port<T>): ReadonlyMap<string, T> {
    const known = this.#implementations.get(port.id);
    if (known !== undefined) return known as ReadonlyMap<string, T>;
    const found = this.#find(port);
    // Some are still to come while it is built.
    if ([...found.values()].every((service) => service !== undefined)) this.#implementations.set(port.id, found);
    return found;
  }

  /** A service that some plugin provides, or `null`. */
  provided<T>(token: ServiceToken<T>): T | null {
    for (const instance of this.instances) {
      const service = instance.service(serviceKey(token));
      if (service !== undefined) return service as T;
    }
    return null;
  }

  #find<T>(port: Port<T>): ReadonlyMap<string, T> {
    const found = new Map<string, T>();
    for (const instance of this.instances) {
      for (const { port: filled, name } of instance.declarations.implementations) {
        if (filled.id === port.id) found.set(name, instance.service(implementationKey(port, name)) as T);
      }
    }
    return found;
  }
}

/**
 * Builds the services of an instance with tsyringe: a container each, filled with the plugin's factories, so that a
 * plugin needs no DI library and leaves nothing behind in a global map. The container is not passed on.
 * @param generations `latest` is the one that port views read: the one being built, then the current one. `current` is the one
 * that late services and ports are of: all of it has started, also while another one is built beside it. `onAdopted` tells of
 * each that takes over.
 * @throws {MezError} `SERVICE_NOT_REQUIRED` when a factory asks for what its manifest does not list; whatever it throws.
 */
export function buildInstance(instance: PluginInstance, core: CoreServices, running: RunningGenerations): void {
  const container = rootContainer.createChildContainer();
  const resolve = resolveFor(instance, core, container, running);
  const keys: string[] = [];
  for (const { token, factory } of instance.declarations.services) {
    keys.push(register(container, serviceKey(token), () => factory(resolve)));
  }
  for (const { port, name, factory } of instance.declarations.implementations) {
    keys.push(register(container, implementationKey(port, name), () => factory(resolve)));
  }
  const services = new Map(keys.map((key) => [key, container.resolve<unknown>(key)]));
  const lifecycles = instance.declarations.lifecycles.map((factory): Lifecycle => factory(resolve));
  instance.fill(services, lifecycles);
  resolvers.set(instance, resolve);
}

/** The `resolve` that a built instance's other factories (RPC handlers, subscribers, sources) are called with. */
export function resolverOf(instance: PluginInstance): Resolve {
  const resolve = resolvers.get(instance);
  if (resolve === undefined) throw new MezError("INTERNAL", `plugin "${instance.id}" is not built`);
  return resolve;
}

// --- internal ---

const resolvers = new WeakMap<PluginInstance, Resolve>();

function serviceKey(token: ServiceToken<unknown>): string {
  return `${token.id}@${token.version}`;
}

function implementationKey(port: Port<unknown>, name: string): string {
  return `${port.id}@${port.version}/${name}`;
}

function register(container: DependencyContainer, key: string, make: () => unknown): string {
  container.register(key, { useFactory: instanceCachingFactory(make) });
  return key;
}

function resolveFor(
  instance: PluginInstance,
  core: CoreServices,
  container: DependencyContainer,
  { latest, current, onAdopted }: RunningGenerations,
): Resolve {
  const listed = new Map(
    activeIn(instance.manifest.requires, instance.roles).map(({ service, late = false }) => [service, { late }]),
  );
  const find = <T>(token: ServiceToken<T>): T | null => {
    const own = core.get(token.id);
    if (own !== undefined) return own(instance) as T;
    if (container.isRegistered(serviceKey(token))) return container.resolve<T>(serviceKey(token));
    if (!listed.has(token.id)) throw notRequired(instance, token.id);
    if ("cardinality" in token)
      return (
        [
          ...latest()
            .implementations(token as Port<T>)
            .values(),
        ][0] ?? null
      );
    for (const provider of instance.requires) {
      const service = provider.service(serviceKey(token));
      if (service !== undefined) return service as T;
    }
    return null;
  };
  const resolve = <T>(token: ServiceToken<T>): T => {
    const service = find(token);
    if (service === null)
      throw new MezError(
        "SERVICE_NOT_REQUIRED",
        `plugin "${instance.id}": service "${token.id}" is not there; an optional one is looked up with resolve.optional`,
      );
    return service;
  };
  const port = <T>(wanted: Port<T>): PortView<T> => {
    if (listed.get(wanted.id)?.late !== false) throw notRequired(instance, wanted.id);
    return viewOf(wanted, latest);
  };
  const latePort = <T>(wanted: Port<T>): LatePortView<T> => {
    if (listed.get(wanted.id)?.late !== true) throw notRequired(instance, wanted.id);
    return { ...viewOf(wanted, () => begun(current())), onChange: onAdopted };
  };
  const late = <T>(token: ServiceToken<T>): (() => T | null) => {
    if (listed.get(token.id)?.late !== true) throw notRequired(instance, token.id);
    return () => current().provided(token);
  };
  return Object.assign(resolve, { optional: find, late, port, latePort });
}

/** A view of whatever fills `port` in the latest generation. */
function viewOf<T>(port: Port<T>, latest: () => Generation): PortView<T> {
  return {
    names: () => [...latest().implementations(port).keys()],
    all: () => [...latest().implementations(port).values()],
    get: (name) => {
      const found = latest().implementations(port).get(name);
      if (found === undefined)
        throw new MezError("PLUGIN_NOT_ENABLED", `no enabled plugin fills port "${port.id}" under the name "${name}"`);
      return found;
    },
  };
}

function begun(generation: Generation): Generation {
  if (generation.number > 0) return generation;
  throw new MezError("UNAVAILABLE", "the server is still starting; try again in a moment");
}

function notRequired(instance: PluginInstance, id: string): MezError {
  return new MezError(
    "SERVICE_NOT_REQUIRED",
    `plugin "${instance.id}" asks for "${id}", which its manifest does not list under requires`,
  );
}
