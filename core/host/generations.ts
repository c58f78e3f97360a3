import { MezError } from "../errors/error.js";
import type { Logger } from "../plugin/logger.js";
import type { ReloadResult } from "../plugin/plugin-host.js";
import type { AssembledPlugin } from "./assembly.js";
import type { ClusterState } from "./cluster-state.js";
import { buildInstance, type CoreServices, Generation } from "./generation.js";
import { PluginInstance } from "./instance.js";
import { planReload } from "./reload.js";

export interface GenerationsOptions {
  readonly core: CoreServices;
  readonly state: ClusterState;
  readonly logger: Logger;
  /** Called when a generation takes over, before anything of the one before is drained. */
  readonly onAdopted: (generation: Generation) => void;
}

/** The running plugins: the first generation, those that replace it, and the instances that are on their way out. */
export class Generations {
  #current = new Generation(0, []);
  /** While a reload builds the next generation, port views already see it. */
  #candidate: Generation | null = null;
  /** What `dispose` takes down: at boot, the instances that have begun to start. */
  #begun: readonly PluginInstance[] = [];
  readonly #starts = new Map<string, number>();
  /** Those that wait for their last lease; each resolves when the instance is gone. */
  readonly #leaving = new Map<PluginInstance, Promise<void>>();
  /** Who wants to hear of generations that take over, by the instance that asked. */
  readonly #followers = new Map<PluginInstance, Set<() => void>>();

  constructor(private readonly options: GenerationsOptions) {}

  get current(): Generation {
    return this.#current;
  }

  /** How often a plugin was started in this process. */
  startsOf(id: string): number {
    return this.#starts.get(id) ?? 0;
  }

  /** Tells whether an instance of a plugin waits for its last lease. */
  isLeaving(id: string): boolean {
    return [...this.#leaving.keys()].some((instance) => instance.id === id);
  }

  /**
   * Builds the first generation, opens the database with its tables, and starts it in order. After a failure, `dispose`
   * takes down what has begun.
   */
  async begin(plugins: readonly AssembledPlugin[]): Promise<void> {
    const first = new Generation(1, instantiate(plugins, new Map()));
    this.#candidate = first;
    for (const instance of first.instances) this.#build(instance);
    await this.options.state.open(first);
    this.#adopt(first);
    for (const instance of first.instances) {
      this.#begun = [...this.#begun, instance];
      await this.#start(instance);
    }
  }

  /**
   * The new beside the old: any failure leaves the old in place.
   * @param afresh Ids to be replaced even though nothing changed.
   * @param onStarted Called when all of the new has started, before it takes over; what it throws takes the new down again.
   * @throws {MezError} `PLUGIN_NEEDS_RESTART`; what a plugin throws when it is built or started; what `onStarted` throws
   */
  async replace(
    plugins: readonly AssembledPlugin[],
    afresh: ReadonlySet<string>,
    onStarted: (change: ReloadResult) => Promise<void>,
  ): Promise<ReloadResult> {
    const previous = this.#current;
    const wanted = plugins.map(({ entry, digest, requires }) => ({ id: entry.manifest.id, digest, requires }));
    const plan = planReload(previous.instances, wanted, afresh);
    refuseWhatNeedsRestart(plan.leaving);
    const kept = new Map(plan.next.flatMap(({ id, kept: instance }) => (instance === null ? [] : [[id, instance] as const])));
    const next = new Generation(previous.number + 1, instantiate(plugins, kept));
    const fresh = next.instances.filter((instance) => !kept.has(instance.id));
    const replaced = fresh.filter(({ id }) => previous.get(id) !== undefined).map(({ id }) => id);
    const change = {
      generation: next.number,
      started: fresh.map(({ id }) => id).filter((id) => !replaced.includes(id)),
      replaced,
      stopped: plan.leaving.map(({ id }) => id).filter((id) => !replaced.includes(id)),
    };
    await this.#startBeside(next, fresh, () => onStarted(change));
    this.#adopt(next);
    this.#begun = next.instances;
    for (const instance of plan.leaving) await this.#retire(instance, next);
    return change;
  }

  /** Has every plugin end what it does, the last one first. */
  async drain(): Promise<void> {
    for (const instance of [...this.#current.instances].reverse()) this.#report(await instance.drain());
  }

  /** Resolves when nobody holds a lease any more, and those that were replaced are gone. */
  async idle(): Promise<void> {
    await Promise.all([...this.#current.instances.map((instance) => instance.idle()), ...this.#leaving.values()]);
  }

  /** Frees what was started, the last one first; before that what was replaced, though somebody holds on to it. */
  async dispose(): Promise<void> {
    for (const instance of [...this.#leaving.keys()].reverse()) this.#report(await instance.dispose());
    for (const instance of [...this.#begun].reverse()) this.#report(await instance.dispose());
  }

  async #startBeside(next: Generation, fresh: readonly PluginInstance[], onStarted: () => Promise<void>): Promise<void> {
    const started: PluginInstance[] = [];
    this.#candidate = next;
    try {
      for (const instance of fresh) this.#build(instance);
      await this.options.state.add(fresh);
      for (const instance of fresh) {
        started.push(instance);
        await this.#start(instance);
      }
      await onStarted();
    } catch (error) {
      this.#candidate = null;
      for (const instance of started.reverse()) this.#report(await instance.dispose());
      for (const instance of fresh) this.#followers.delete(instance);
      this.#report(await this.options.state.undo(fresh, this.#current));
      throw error;
    }
  }

  #build(instance: PluginInstance): void {
    buildInstance(instance, this.options.core, {
      latest: () => this.#candidate ?? this.#current,
      current: () => this.#current,
      onAdopted: (listener) => {
        const follower = () => listener();
        const own = this.#followers.get(instance) ?? new Set();
        this.#followers.set(instance, own.add(follower));
        return () => void own.delete(follower);
      },
    });
  }

  async #start(instance: PluginInstance): Promise<void> {
    await instance.start();
    this.#starts.set(instance.id, this.startsOf(instance.id) + 1);
  }

  #adopt(generation: Generation): void {
    this.#current = generation;
    this.#candidate = null;
    this.options.onAdopted(generation);
    for (const follower of [...this.#followers.values()].flatMap((own) => [...own])) follower();
  }

  /** Drains at once, disposes when the last lease is returned. */
  async #retire(instance: PluginInstance, next: Generation): Promise<void> {
    const drained = Promise.withResolvers<void>();
    this.#leaving.set(
      instance,
      drained.promise.then(() => this.#freeWhenIdle(instance)),
    );
    this.#report(await instance.drain());
    this.options.state.withdraw(instance, next);
    drained.resolve();
  }

  async #freeWhenIdle(instance: PluginInstance): Promise<void> {
    await instance.idle();
    this.#report(await instance.dispose());
    this.#leaving.delete(instance);
    this.#followers.delete(instance);
    this.options.state.forget(instance, this.#current);
  }

  #report(failures: readonly MezError[]): void {
    for (const failure of failures) this.options.logger.error(failure.message, { code: failure.code });
  }
}

// --- internal ---

function instantiate(plugins: readonly AssembledPlugin[], kept: ReadonlyMap<string, PluginInstance>): readonly PluginInstance[] {
  const made = new Map<string, PluginInstance>();
  for (const { entry, digest, roles, requires, declarations } of plugins) {
    const needed = requires.map((id) => made.get(id) as PluginInstance);
    const { manifest } = entry;
    made.set(
      manifest.id,
      kept.get(manifest.id) ?? new PluginInstance(manifest, digest, roles, declarations, needed, entry.package !== undefined),
    );
  }
  return [...made.values()];
}

function refuseWhatNeedsRestart(leaving: readonly PluginInstance[]): void {
  const stuck = leaving.filter(({ manifest }) => manifest.reload === "restart").map(({ id }) => `"${id}"`);
  if (stuck.length === 0) return;
  throw new MezError(
    "PLUGIN_NEEDS_RESTART",
    `this change replaces ${stuck.join(", ")}, which cannot be done in a running process; write it into the config file and restart mezd`,
  );
}
