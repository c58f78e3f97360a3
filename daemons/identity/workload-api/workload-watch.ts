import { setTimeout as sleep } from "node:timers/promises";
import { isMezError, MezError, messageOf } from "../../../core/errors/error.js";
import type { Logger } from "../../../core/plugin/logger.js";
import { BackOff } from "../../../core/time/back-off.js";
import type { WorkloadSnapshot } from "../../../proto/gen/mezite/workload_identities/v1/workload_identities.js";
import type { ChangeSignal } from "./change-signal.js";
import { authorityDigests, readSnapshot, type WorkloadDirectory } from "./workload-entry.js";

/** Where it is told what may be served. */
export interface WorkloadSource {
  /** A snapshot at first and after each change; `null` for a sign of life. */
  watch(signal: AbortSignal): AsyncIterable<WorkloadSnapshot | null>;
  /** Tells which keys of the SPIFFE CA are handed out. */
  report(sequence: number, x509AuthoritySha256: readonly Buffer[]): Promise<void>;
}

export interface WorkloadWatchParts {
  readonly source: WorkloadSource;
  /** Raised with each change of what may be served. */
  readonly changes: ChangeSignal;
  /** Called right before, `null` for nothing. */
  readonly onChange: (directory: WorkloadDirectory | null) => void;
  readonly logger: Logger;
  readonly random: () => number;
}

/**
 * Follows what this host may serve. When the auth service is out of reach, the last snapshot counts on; when it says no,
 * nothing may be served until it says otherwise.
 */
export class WorkloadWatch {
  readonly #stop = new AbortController();
  readonly #backOff: BackOff;
  #stream = new AbortController();
  #directory: WorkloadDirectory | MezError = new MezError("UNAVAILABLE", "the auth service has not been reached yet");
  #running: Promise<void> | null = null;

  constructor(private readonly parts: WorkloadWatchParts) {
    this.#backOff = new BackOff(FIRST_RETRY_SECONDS, MAX_RETRY_SECONDS, parts.random);
  }

  /** What may be served now. @throws {MezError} `UNAVAILABLE` before the first snapshot, `ACCESS_DENIED` when nothing may be */
  get directory(): WorkloadDirectory {
    if (this.#directory instanceof MezError) throw this.#directory;
    return this.#directory;
  }

  /** Begins, or begins again after new certificates. */
  restart(): void {
    if (this.#stop.signal.aborted) return;
    this.#stream.abort();
    this.#running ??= this.#run();
  }

  /** Tells the auth service which keys are handed out; that it did not hear is no harm, for it is told again. */
  report(): void {
    const { source, logger } = this.parts;
    if (this.#directory instanceof MezError) return;
    const { bundle } = this.#directory;
    source.report(bundle.sequence, authorityDigests(bundle)).catch((error: unknown) => {
      logger.debug("could not tell which SPIFFE CA keys are handed out", { reason: messageOf(error) });
    });
  }

  async close(): Promise<void> {
    this.#stop.abort();
    this.#stream.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      this.#stream = new AbortController();
      const { signal } = this.#stream;
      try {
        await this.#follow(signal);
      } catch (error) {
        // Ended by us: for newer certificates, after silence, or for good.
        if (!signal.aborted) this.#failed(error);
      }
      if (this.#stop.signal.aborted || signal.aborted) continue;
      const either = AbortSignal.any([this.#stop.signal, signal]);
      await sleep(this.#backOff.nextSeconds() * 1000, undefined, { signal: either }).catch(() => {});
    }
  }

  async #follow(signal: AbortSignal): Promise<void> {
    const { source, logger } = this.parts;
    const silence = setTimeout(() => this.#stream.abort(), SILENCE_LIMIT_MS);
    silence.unref();
    try {
      for await (const snapshot of source.watch(signal)) {
        silence.refresh();
        if (snapshot === null || signal.aborted) continue;
        this.#backOff.reset();
        const directory = readSnapshot(snapshot);
        if (this.#directory instanceof MezError || this.#directory.entries.length !== directory.entries.length)
          logger.info("serving workload identities", { entries: directory.entries.length, trustDomain: directory.trustDomainId });
        this.#take(directory);
        this.report();
      }
    } finally {
      clearTimeout(silence);
    }
  }

  #failed(error: unknown): void {
    const { logger } = this.parts;
    const reason = messageOf(error);
    if (!isMezError(error, "ACCESS_DENIED", "UNAUTHENTICATED", "NOT_FOUND", "PLUGIN_NOT_ENABLED"))
      return logger.debug("lost the auth service, going on with the workload identities of before", { reason });
    const isNew = !isMezError(this.#directory, "ACCESS_DENIED");
    if (isNew) logger.warn("the auth service lets no workload identity be served", { reason });
    this.#take(new MezError("ACCESS_DENIED", "this host may serve no workload identity now", { detail: reason }));
  }

  #take(directory: WorkloadDirectory | MezError): void {
    this.#directory = directory;
    this.parts.onChange(directory instanceof MezError ? null : directory);
    this.parts.changes.raise();
  }
}

// --- internal ---

const FIRST_RETRY_SECONDS = 0.5;
const MAX_RETRY_SECONDS = 10;
const SILENCE_LIMIT_MS = 15_000; // the auth service gives a sign of life every 5 s
