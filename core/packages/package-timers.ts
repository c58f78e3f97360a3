import { AsyncLocalStorage } from "node:async_hooks";
import { syncBuiltinESMExports } from "node:module";
import timers from "node:timers";
import { fileURLToPath } from "node:url";
import { getCallSites } from "node:util";
import type { Lifecycle, Plugin, Registrar, Resolve } from "../plugin/contract.js";
import { LOGGER } from "../plugin/logger.js";
import { isInside } from "./package-tree.js";

/**
 * The same plugin, whose instances leave no timers behind: those that its code made while it was built, started or stopped,
 * or that came of this, and that still run when it has been disposed of, are stopped and told of in the log. What is left of
 * a plugin would otherwise run on, and keep its code in memory.
 * @param folder Where its code lies; only timers that are made there are its own.
 */
export function withoutLeftoverTimers(plugin: Plugin<never>, folder: string): Plugin<never> {
  installOnce();
  return {
    register(host, config) {
      const scope = new TimerScope(folder);
      // Registered first, so disposed of last.
      host.run((resolve) => ({ dispose: async () => scope.end(resolve) }));
      scope.run(() => plugin.register(scoped(host, scope), config));
    },
  };
}

// --- internal ---

const scopes = new AsyncLocalStorage<TimerScope>();
const SWEEP_AT = 1000;
let isInstalled = false;

/** Timers of one instance of a plugin. */
class TimerScope {
  readonly #timers = new Set<NodeJS.Timeout>();

  constructor(private readonly folder: string) {}

  run<T>(work: () => T): T {
    return scopes.run(this, work);
  }

  /** Whether the code that called `made` is the plugin's. */
  owns(made: string | undefined): boolean {
    if (made === undefined) return false;
    return isInside(this.folder, made.startsWith("file:") ? fileURLToPath(made) : made);
  }

  add(timer: NodeJS.Timeout): void {
    if (this.#timers.size >= SWEEP_AT) for (const each of this.#timers) if (isOver(each)) this.#timers.delete(each);
    this.#timers.add(timer);
  }

  end(resolve: Resolve): void {
    const left = [...this.#timers].filter((timer) => !isOver(timer));
    for (const timer of left) clearTimeout(timer);
    this.#timers.clear();
    if (left.length > 0)
      resolve(LOGGER).warn("the plugin left timers running when it was disposed of; they were stopped", { timers: left.length });
  }
}

function scoped(host: Registrar, scope: TimerScope): Registrar {
  const inScope =
    <T>(factory: (resolve: Resolve) => T) =>
    (resolve: Resolve): T =>
      scope.run(() => factory(resolve));
  return {
    roles: host.roles,
    provide: (token, factory) => host.provide(token, inScope(factory)),
    implement: (port, name, factory) => host.implement(port, name, inScope(factory)),
    rpc: (service, handlers) => host.rpc(service, inScope(handlers)),
    web: (routes, handlers) => host.web(routes, inScope(handlers)),
    store: (entities, migrations) => host.store(entities, migrations),
    publish: (kind, source) => host.publish(kind, inScope(source)),
    on: (event, subscriber, where) => host.on(event, inScope(subscriber), where),
    run: (factory) =>
      host.run((resolve) =>
        scopedHooks(
          scope.run(() => factory(resolve)),
          scope,
        ),
      ),
  };
}

function scopedHooks(lifecycle: Lifecycle, scope: TimerScope): Lifecycle {
  const hook = (name: keyof Lifecycle) => {
    if (lifecycle[name] === undefined) return {};
    return { [name]: () => scope.run(async () => lifecycle[name]?.()) };
  };
  return { ...hook("start"), ...hook("drain"), ...hook("dispose") };
}

/** Outside of the hooks of packages this costs one look at the context. */
function installOnce(): void {
  if (isInstalled) return;
  isInstalled = true;
  for (const name of ["setTimeout", "setInterval"] as const) {
    const original = timers[name] as (...args: unknown[]) => NodeJS.Timeout;
    const watched = (...args: unknown[]): NodeJS.Timeout => {
      const timer = original(...args);
      const scope = scopes.getStore();
      if (scope?.owns(getCallSites(2)[1]?.scriptName) === true) scope.add(timer);
      return timer;
    };
    const replacement = Object.defineProperties(watched, Object.getOwnPropertyDescriptors(original));
    Object.assign(timers, { [name]: replacement });
    Object.assign(globalThis, { [name]: replacement });
  }
  syncBuiltinESMExports();
}

function isOver(timer: NodeJS.Timeout): boolean {
  return (timer as { readonly _destroyed?: boolean })._destroyed === true;
}
