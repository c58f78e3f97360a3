import { createRequire } from "node:module";
import type { Duplex } from "node:stream";
import { pathToFileURL } from "node:url";
import { MezError } from "../errors/error.js";
import { exportedPlugin } from "../packages/exported-plugin.js";
import { moduleFormat } from "../packages/module-format.js";
import { confineImports } from "../packages/package-imports.js";
import type { Lifecycle, Plugin, Registrar, Resolve, ServiceToken } from "../plugin/contract.js";
import { LOGGER, type Logger } from "../plugin/logger.js";
import { CLOCK, PROCESS, type ProcessInfo } from "../plugin/process.js";
import { Secret } from "../plugin/secret.js";
import { systemClock } from "../time/clock.js";
import { FrameLink } from "./frame-link.js";
import { ISOLATED_PORTS } from "./isolated-ports.js";
import { cutLogLine } from "./log-line.js";
import { OutgoingStream } from "./outgoing-stream.js";
import {
  FROM_HOST,
  type Introduction,
  type Registration,
  type Reply,
  type Request,
  replyLimits,
  type Started,
  toWireError,
} from "./wire.js";

interface Implementation {
  readonly port: string;
  readonly name: string;
  readonly make: () => unknown;
  made: unknown;
}

/** A plugin in a process of its own, as that process sees it: does what the host asks for over one connection. */
export class ChildPlugin {
  readonly #link: FrameLink;
  readonly #implementations: Implementation[] = [];
  readonly #lifecycles: Lifecycle[] = [];
  readonly #factories: ((resolve: Resolve) => Lifecycle)[] = [];
  readonly #aborts = new Map<number, AbortController>();
  readonly #streams = new Map<number, OutgoingStream>();
  #introduction: Introduction | null = null;

  constructor(connection: Duplex, onHostGone: () => void) {
    const limits = { sent: replyLimits, most: FROM_HOST, received: () => FROM_HOST };
    this.#link = new FrameLink(connection, limits, (message) => this.#take(message as Request), onHostGone);
  }

  /** Ends this process; the host learns why from standard error. */
  crash(error: unknown): never {
    process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
    process.exit(70);
  }

  #take(request: Request): void {
    switch (request.type) {
      case "abort":
        this.#aborts.get(request.call)?.abort();
        return this.#streams.get(request.call)?.stop();
      case "more":
        return this.#streams.get(request.call)?.allow(request.bytes);
      default:
        void this.#answer(request);
    }
  }

  async #answer(request: Exclude<Request, { type: "abort" | "more" }>): Promise<void> {
    const { call } = request;
    try {
      const value = await this.#do(request);
      await this.#send({ type: "answer", call, value });
    } catch (error) {
      await this.#send({ type: "failure", call, error: toWireError(error) });
    } finally {
      this.#aborts.delete(call);
    }
    await this.#streams.get(call)?.run();
    this.#streams.delete(call);
  }

  #do(request: Exclude<Request, { type: "abort" | "more" }>): unknown {
    switch (request.type) {
      case "introduce":
        return this.#introduce(request.introduction);
      case "hook":
        return request.hook === "start" ? this.#start() : this.#end(request.hook);
      case "call":
        return this.#call(request);
      case "ping":
        return null;
    }
  }

  async #introduce(introduction: Introduction): Promise<Registration> {
    this.#introduction = introduction;
    confineImports(introduction.store);
    const plugin = await importPlugin(introduction);
    plugin.register(this.#registrar(introduction), configOf(introduction) as never);
    return { implementations: this.#implementations.map(({ port, name }) => ({ port, name })) };
  }

  async #start(): Promise<Started> {
    const resolve = this.#resolve();
    for (const implementation of this.#implementations) implementation.made = implementation.make();
    this.#lifecycles.push(...this.#factories.map((factory) => factory(resolve)));
    for (const lifecycle of this.#lifecycles) await lifecycle.start?.();
    const properties = this.#implementations.map(({ port, name, made }) => {
      const names = Object.keys(ISOLATED_PORTS.get(port)?.properties ?? {});
      return { port, name, values: Object.fromEntries(names.map((key) => [key, (made as Record<string, unknown>)[key]])) };
    });
    return { properties };
  }

  async #end(hook: "drain" | "dispose"): Promise<null> {
    for (const lifecycle of [...this.#lifecycles].reverse()) await lifecycle[hook]?.();
    return null;
  }

  async #call({ call, port, name, method, args }: Extract<Request, { type: "call" }>): Promise<unknown> {
    const rule = ISOLATED_PORTS.get(port)?.methods[method];
    const found = this.#implementations.find((each) => each.port === port && each.name === name)?.made;
    const implementation = found as Record<string, (...args: unknown[]) => unknown> | undefined;
    if (rule === undefined || typeof implementation?.[method] !== "function")
      throw new MezError("INTERNAL", `the plugin has no ${port}/${name} with ${method}()`);
    const abort = new AbortController();
    this.#aborts.set(call, abort);
    const value = await implementation[method](...args, ...(rule.hasSignal === true ? [abort.signal] : []));
    if (rule.isStream !== true) return value;
    this.#streams.set(call, new OutgoingStream(value as AsyncIterable<Uint8Array>, (reply) => this.#send(reply), call));
    return null;
  }

  #registrar({ roles }: Introduction): Registrar {
    const refused = (what: string) => (): never => {
      throw new MezError("PLUGIN_REGISTER_FAILED", `an isolated plugin cannot ${what}; it fills ports and nothing else`);
    };
    return {
      roles: new Set(roles),
      implement: (port, name, factory) =>
        void this.#implementations.push({ port: port.id, name, make: () => factory(this.#resolve()), made: null }),
      run: (factory) => void this.#factories.push(factory),
      provide: refused("provide services"),
      rpc: refused("serve calls"),
      web: refused("serve web routes"),
      store: refused("have tables"),
      publish: refused("publish collections"),
      on: refused("subscribe to events"),
    };
  }

  #resolve(): Resolve {
    const { clusterName, version, roles, dataDirectory } = this.#introduction as Introduction;
    const process: ProcessInfo = {
      clusterName,
      version,
      roles: new Set(roles),
      dataDirectory,
      authAddresses: [],
      joinToken: null,
    };
    const services = new Map<string, unknown>([
      [CLOCK.id, systemClock],
      [PROCESS.id, process],
      [LOGGER.id, this.#logger()],
    ]);
    const find = <T>(token: ServiceToken<T>): T => {
      const service = services.get(token.id);
      if (service === undefined)
        throw new MezError("SERVICE_NOT_REQUIRED", `service "${token.id}" is not there for an isolated plugin`);
      return service as T;
    };
    return Object.assign(find, { optional: find, late: refuseLate, port: refuseLate, latePort: refuseLate });
  }

  #logger(): Logger {
    const at =
      (level: "debug" | "info" | "warn" | "error"): Logger["info"] =>
      (message, fields = {}) =>
        void this.#send({ type: "log", level, ...cutLogLine(message, fields) });
    return { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") };
  }

  async #send(reply: Reply): Promise<void> {
    try {
      await this.#link.send(reply);
    } catch (error) {
      if (reply.type !== "log" && reply.type !== "failure")
        await this.#link.send({ type: "failure", call: reply.call, error: toWireError(error) });
    }
  }
}

// --- internal ---

async function importPlugin({ entry, folder }: Introduction): Promise<Plugin<never>> {
  // Import() of CommonJS reads the whole file for names first, which takes seconds for a large bundle.
  const isCommonJs = moduleFormat(entry, folder) === "commonjs";
  const plugin = exportedPlugin(isCommonJs ? createRequire(entry)(entry) : await import(pathToFileURL(entry).href));
  if (plugin === null) throw new MezError("PLUGIN_REGISTER_FAILED", "its entry has no plugin as default export");
  return plugin;
}

function configOf({ config, secrets }: Introduction): unknown {
  for (const pointer of secrets) {
    const path = pointer.split("/").slice(1);
    let place = config as Record<string, unknown> | undefined;
    for (const key of path.slice(0, -1)) place = place?.[key] as Record<string, unknown> | undefined;
    const last = path.at(-1) as string;
    if (place !== undefined && typeof place[last] === "string") place[last] = new Secret(place[last]);
  }
  return config;
}

function refuseLate(token: { readonly id: string }): never {
  throw new MezError("SERVICE_NOT_REQUIRED", `service "${token.id}" is not there for an isolated plugin`);
}
