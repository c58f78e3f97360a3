import { setTimeout as delay } from "node:timers/promises";
import type { SharedServers } from "../cluster/shared-servers.js";
import { isMezError, MezError, messageOf } from "../errors/error.js";
import type { Transaction } from "../plugin/database.js";
import type { Logger } from "../plugin/logger.js";
import type { ReloadResult, ServerStatus } from "../plugin/plugin-host.js";
import {
  guardsOf,
  hasDecisions,
  isOutOfDecisions,
  outOfDecisions,
  type PluginDecisions,
  parseDecisions,
  readDecisions,
  storedForm,
  writeDecisions,
} from "./plugin-decisions.js";

/** How often each plugin was told to start anew, by id; under the empty id, how often the config files were to be read again. */
export type Reloads = Readonly<Record<string, number>>;

/** What the servers of a cluster have decided, at one revision. */
export interface SharedDecisions {
  readonly revision: number;
  readonly decisions: PluginDecisions;
  readonly reloads: Reloads;
}

export interface ClusterDecisionsParts {
  readonly servers: Pick<SharedServers, "decided" | "decide" | "list" | "report">;
  readonly transaction: (work: (tx: Transaction) => Promise<void>) => Promise<void>;
  /** Holds `plugins.json`, what this server ran last. */
  readonly dataDirectory: string;
  /** Where this server listens; `null` before it does. */
  readonly address: () => string | null;
  /**
   * Runs what was decided, and keeps it in `plugins.json`.
   * @param reloaded Ids to start anew, and the empty one; see `Reloads`.
   * @param isRest Whether what this server is without must not stand in the way.
   */
  readonly apply: (decisions: PluginDecisions, reloaded: ReadonlySet<string>, isRest: boolean) => Promise<ReloadResult>;
  /** Whether an added plugin should run here and does not. */
  readonly lacks: (id: string) => boolean;
  /** Has nothing else change the plugins meanwhile. */
  readonly alone: (work: () => Promise<void>) => Promise<void>;
  readonly logger: Logger;
  readonly lookEveryMs?: number;
  readonly retryEveryMs?: number;
}

/**
 * What `mezctl plugins` said, for auth servers that share a database: it stands there, and each of them follows, the one that was
 * told as well. A server that cannot carry it out follows in the rest, runs on with what it has, says so, and tries again.
 */
export class ClusterDecisions {
  #followed: SharedDecisions = { revision: 0, decisions: { overrides: new Map(), added: new Map() }, reloads: {} };
  #failed: { readonly revision: number; readonly error: unknown; readonly at: number } | null = null;
  #begun = false;
  /** Until it has followed once: it runs what was decided, or it does not run. */
  #isNew = false;
  readonly #stopped = new AbortController();
  #following: Promise<void> | null = null;

  constructor(private readonly parts: ClusterDecisionsParts) {}

  /**
   * Follows what was decided. What this server alone was told before is taken over by all when nothing was.
   * @throws {MezError} why it cannot follow: on a server that never has, and on one that would be without a plugin that keeps
   * people out, unless `plugins.json` says that it may be
   */
  async begin(): Promise<void> {
    const { servers, dataDirectory, transaction } = this.parts;
    this.#isNew = !hasDecisions(dataDirectory);
    const local = readDecisions(dataDirectory);
    if ((await servers.decided()) === null && local.overrides.size + local.added.size > 0)
      await transaction(async (tx) => void (await servers.decide(tx, 0, formatShared(local, {})))).catch(
        async (error: unknown) => {
          // Another server was first.
          if ((await servers.decided()) === null) throw error;
        },
      );
    await this.follow();
    this.#begun = true;
    if (!this.#isNew) return this.#refuseWithoutGuard(local);
    const error = this.#failed?.error;
    if (isMezError(error))
      throw new MezError(error.code, `the auth servers have decided what this one cannot do: ${error.message}`, { cause: error });
    if (error !== undefined) throw error;
    writeDecisions(dataDirectory, this.#followed.decisions);
    this.#isNew = false;
  }

  /** Looks for decisions of others from now on. */
  start(): void {
    this.#following = this.#report().then(() => this.#keepLooking());
  }

  async stop(): Promise<void> {
    this.#stopped.abort();
    await this.#following;
  }

  /** What holds now, for one who changes it; this server follows it first. */
  async latest(): Promise<SharedDecisions> {
    await this.follow();
    const decided = await this.parts.servers.decided();
    if (decided === null) return { revision: 0, decisions: readDecisions(this.parts.dataDirectory), reloads: {} };
    return { revision: decided.revision, ...parseShared(decided.decisions) };
  }

  /**
   * Has all servers follow what this one is about to run.
   * @returns To be called after the commit.
   * @throws {MezError} `CONFLICT` when something else was decided since `before`
   */
  async decide(tx: Transaction, before: SharedDecisions, decisions: PluginDecisions, reload: string | null): Promise<() => void> {
    const reloads = reload === null ? before.reloads : { ...before.reloads, [reload]: (before.reloads[reload] ?? 0) + 1 };
    const revision = await this.parts.servers.decide(tx, before.revision, formatShared(decisions, reloads));
    return () => {
      this.#followed = { revision, decisions, reloads };
      this.#failed = null;
      void this.#report();
    };
  }

  /** How each server follows, this one first. */
  async statuses(): Promise<readonly ServerStatus[]> {
    const [rows, decided] = await Promise.all([this.parts.servers.list(), this.parts.servers.decided()]);
    return rows
      .map(({ name, isThis, report }) => {
        const { revision, tried, problem, address } = readReport(report);
        const latest = decided?.revision ?? 0;
        return { name, address, isThis, isCurrent: revision === latest, problem: tried === latest ? problem : "" };
      })
      .sort((left, right) => Number(right.isThis) - Number(left.isThis) || (nameOf(left) < nameOf(right) ? -1 : 1));
  }

  /** Runs what was decided and not yet followed; a failure is kept, reported, and tried again. */
  async follow(): Promise<void> {
    const decided = await this.parts.servers.decided();
    if (decided === null || decided.revision === this.#followed.revision) return;
    const isRetry = this.#failed?.revision === decided.revision;
    if (isRetry && performance.now() - (this.#failed?.at ?? 0) < (this.parts.retryEveryMs ?? RETRY_MS)) return;
    const { logger } = this.parts;
    try {
      const { decisions, reloads } = parseShared(decided.decisions);
      const change = await this.parts.apply(decisions, this.#reloaded(reloads), false);
      this.#followed = { revision: decided.revision, decisions, reloads };
      this.#failed = null;
      const { started, replaced, stopped } = change;
      logger.info("following what the auth servers have decided of plugins", { started, replaced, stopped });
    } catch (error) {
      this.#failed = { revision: decided.revision, error, at: performance.now() };
      if (!isRetry) {
        logger.error("cannot do what the auth servers have decided of plugins", { error: messageOf(error) });
        if (!this.#isNew) await this.#followTheRest(decided.decisions);
      }
    }
    if (this.#begun) await this.#report();
  }

  /**
   * All but packages that are not the ones which run here; when that fails as well, one switch after the other, those that switch
   * off first: what cannot run here must not keep anything else from being switched.
   */
  async #followTheRest(text: string): Promise<void> {
    const { apply, dataDirectory, logger } = this.parts;
    const decisions = readableOrNull(text);
    if (decisions === null) return;
    const here = readDecisions(dataDirectory);
    const added = new Map(
      [...decisions.added.keys()].flatMap((id) => (here.added.has(id) ? [[id, here.added.get(id)!] as const] : [])),
    );
    const attempt = async (rest: PluginDecisions): Promise<boolean> =>
      apply(rest, new Set(), true).then(
        () => true,
        (error: unknown) => {
          logger.error("nor the rest of it", { error: messageOf(error) });
          return false;
        },
      );
    if (await attempt({ overrides: decisions.overrides, added })) return;
    let reached: PluginDecisions = here;
    for (const next of singleSteps(here, { overrides: decisions.overrides, added })) {
      const wanted = next(reached);
      if (await attempt(wanted)) reached = wanted;
    }
  }

  /** @param local What `plugins.json` said when this server started. */
  async #refuseWithoutGuard(local: PluginDecisions): Promise<void> {
    if (this.#failed === null) return;
    const decided = await this.parts.servers.decided();
    if (decided === null) return;
    const { error } = this.#failed;
    const wanted = readableOrNull(decided.decisions);
    if (wanted === null)
      throw new MezError(
        "PLUGIN_START_FAILED",
        `the auth servers have decided what this one cannot read, and a plugin that keeps people out may be among it: ${messageOf(error)}; ` +
          `have a server of the release that wrote it decide anew with "mezctl plugins", or mend the row of cluster_plugins in the database`,
        { cause: error },
      );
    const id = guardsOf(wanted).find((each) => !isOutOfDecisions(local, each) && this.parts.lacks(each));
    if (id === undefined) return;
    const message = `the auth servers have decided that plugin "${id}" runs, which keeps people out, and this one cannot: ${messageOf(error)}`;
    const wayOut = `put its package where this server looks for it, or ${outOfDecisions(id)} and decide anew with "mezctl plugins rm"`;
    throw new MezError(isMezError(error) ? error.code : "PLUGIN_START_FAILED", `${message}; ${wayOut}`, { cause: error });
  }

  /** Those that were told to start anew since this server looked last; none at its own start. */
  #reloaded(reloads: Reloads): ReadonlySet<string> {
    const before = this.#followed.reloads;
    return new Set(this.#begun ? Object.keys(reloads).filter((id) => reloads[id] !== before[id]) : []);
  }

  async #keepLooking(): Promise<void> {
    const { signal } = this.#stopped;
    while (!signal.aborted) {
      await delay(this.parts.lookEveryMs ?? LOOK_MS, undefined, { signal, ref: false }).catch(() => {});
      if (signal.aborted) return;
      // Without the database nothing is decided either.
      await this.#lookOnce().catch(() => {});
    }
  }

  async #lookOnce(): Promise<void> {
    const decided = await this.parts.servers.decided();
    if (decided !== null && decided.revision !== this.#followed.revision) await this.parts.alone(() => this.follow());
  }

  async #report(): Promise<void> {
    const problem = this.#failed === null ? "" : messageOf(this.#failed.error);
    const { revision } = this.#followed;
    const report: Report = { revision, tried: this.#failed?.revision ?? revision, problem, address: this.parts.address() ?? "" };
    await this.parts.servers
      .report(JSON.stringify(report))
      .catch((error: unknown) => this.parts.logger.warn("the other servers were not told", { error: messageOf(error) }));
  }
}

// --- internal ---

const LOOK_MS = 1_000;
const RETRY_MS = 30_000;

interface Report {
  /** What it runs. */
  readonly revision: number;
  /** What `problem` is about: what was decided since, it has not tried yet. */
  readonly tried: number;
  readonly problem: string;
  readonly address: string;
}

/** `null` for what a server of another release wrote, and nobody here can read. */
function readableOrNull(text: string): PluginDecisions | null {
  try {
    return parseShared(text).decisions;
  } catch {
    return null;
  }
}

type Step = (from: PluginDecisions) => PluginDecisions;

/** Each difference by itself: packages taken out, then switches off, then on. */
function singleSteps(here: PluginDecisions, wanted: PluginDecisions): readonly Step[] {
  const out = [...here.added.keys()].filter((id) => !wanted.added.has(id));
  const isOut = new Set(out);
  const switched = [...new Set([...here.overrides.keys(), ...wanted.overrides.keys()])]
    .filter((id) => !isOut.has(id) && here.overrides.get(id) !== wanted.overrides.get(id))
    .sort((left, right) => Number(wanted.overrides.get(left) !== false) - Number(wanted.overrides.get(right) !== false));
  return [
    ...out.map(
      (id): Step =>
        ({ overrides, added }) => ({ overrides: without(overrides, id), added: without(added, id) }),
    ),
    ...switched.map(
      (id): Step =>
        ({ overrides, added }) => {
          const on = wanted.overrides.get(id);
          return { overrides: on === undefined ? without(overrides, id) : new Map(overrides).set(id, on), added };
        },
    ),
  ];
}

function without<T>(from: ReadonlyMap<string, T>, id: string): ReadonlyMap<string, T> {
  return new Map([...from].filter(([each]) => each !== id));
}

/** A server that has not said anything yet follows nothing. */
function readReport(text: string | null): Report {
  return text === null ? { revision: 0, tried: 0, problem: "", address: "" } : (JSON.parse(text) as Report);
}

function nameOf({ name, address }: ServerStatus): string {
  return `${name} ${address}`;
}

function formatShared(decisions: PluginDecisions, reloads: Reloads): string {
  return JSON.stringify({ plugins: storedForm(decisions), reloads });
}

function parseShared(text: string): Pick<SharedDecisions, "decisions" | "reloads"> {
  const { plugins, reloads } = JSON.parse(text) as { plugins: unknown; reloads: Reloads };
  return { decisions: parseDecisions(plugins), reloads };
}
