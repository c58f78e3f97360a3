import { setTimeout as delay } from "node:timers/promises";
import { MezError, messageOf } from "../errors/error.js";
import type { Lifecycle, ProcessRole } from "../plugin/contract.js";
import type { Manifest } from "../plugin/manifest.js";
import type { Declarations } from "./declarations.js";

const HOOK_LIMITS_MS = { start: 30_000, drain: 10_000, dispose: 10_000 } as const;
type Hook = keyof typeof HOOK_LIMITS_MS;

/**
 * One plugin as it runs: what it declared, the services built from that, and the leases held on it. Built once, started
 * once, disposed once; a reload makes another one beside it.
 */
export class PluginInstance {
  readonly #lifecycles: Lifecycle[] = [];
  readonly #services = new Map<string, unknown>();
  #required: ReadonlySet<PluginInstance> | null = null;
  #leases = 0;
  #onIdle: (() => void) | null = null;
  #disposed: Promise<readonly MezError[]> | null = null;

  constructor(
    readonly manifest: Manifest,
    /** Changes when version or config do: an instance with the same digest and the same providers is kept on reload. */
    readonly digest: string,
    readonly roles: ReadonlySet<ProcessRole>,
    readonly declarations: Declarations,
    readonly requires: readonly PluginInstance[],
    /** Whether it comes from a package, and not with the build: its version may change while the process runs. */
    readonly isPackage = false,
  ) {}

  get id(): string {
    return this.manifest.id;
  }

  get leases(): number {
    return this.#leases;
  }

  /** The service or implementation under `key`; `undefined` when this plugin has none, and before it is built. */
  service(key: string): unknown {
    return this.#services.get(key);
  }

  /** Called by the generation that builds this instance; the values come from its container. */
  fill(services: ReadonlyMap<string, unknown>, lifecycles: readonly Lifecycle[]): void {
    for (const [key, value] of services) this.#services.set(key, value);
    this.#lifecycles.push(...lifecycles);
  }

  /** @throws {MezError} `PLUGIN_START_FAILED` with the cause. */
  async start(): Promise<void> {
    for (const lifecycle of this.#lifecycles) await this.#hook("start", lifecycle);
  }

  /** Goes through all lifecycles, last first, and returns what failed. */
  async drain(): Promise<readonly MezError[]> {
    return this.#reverse("drain");
  }

  /** The same for what was opened, once: whoever comes later gets what the first one got. */
  dispose(): Promise<readonly MezError[]> {
    this.#disposed ??= this.#reverse("dispose");
    return this.#disposed;
  }

  /** Counts one more user of this instance and of all that it requires; the returned function takes it back, once. */
  lease(): () => void {
    for (const instance of this.#closure()) instance.#leases += 1;
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      for (const instance of this.#closure()) {
        instance.#leases -= 1;
        if (instance.#leases === 0) instance.#onIdle?.();
      }
    };
  }

  /** Resolves when no lease is held. */
  idle(): Promise<void> {
    if (this.#leases === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#onIdle = resolve;
    });
  }

  #closure(): ReadonlySet<PluginInstance> {
    this.#required ??= this.#findRequired();
    return this.#required;
  }

  #findRequired(): ReadonlySet<PluginInstance> {
    const found = new Set<PluginInstance>();
    const visit = (instance: PluginInstance): void => {
      if (found.has(instance)) return;
      found.add(instance);
      for (const needed of instance.requires) visit(needed);
    };
    visit(this);
    return found;
  }

  async #reverse(hook: Hook): Promise<readonly MezError[]> {
    const failures: MezError[] = [];
    for (const lifecycle of [...this.#lifecycles].reverse()) {
      try {
        await this.#hook(hook, lifecycle);
      } catch (error) {
        failures.push(error as MezError);
      }
    }
    return failures;
  }

  async #hook(hook: Hook, lifecycle: Lifecycle): Promise<void> {
    if (lifecycle[hook] === undefined) return;
    const limit = new AbortController();
    const late = delay(HOOK_LIMITS_MS[hook], undefined, { signal: limit.signal }).then(() => {
      throw new MezError("TIMEOUT", `it did not finish within ${HOOK_LIMITS_MS[hook] / 1000} s`);
    });
    late.catch(() => {});
    try {
      await Promise.race([lifecycle[hook](), late]);
    } catch (cause) {
      const why = messageOf(cause);
      throw new MezError(`PLUGIN_${hook.toUpperCase() as Uppercase<Hook>}_FAILED`, `${hook} of plugin "${this.id}": ${why}`, {
        cause,
      });
    } finally {
      limit.abort();
    }
  }
}
