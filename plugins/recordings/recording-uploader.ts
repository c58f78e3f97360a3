import { setTimeout as delay } from "node:timers/promises";
import { isMezError, messageOf } from "../../core/errors/error.js";
import type { Lifecycle } from "../../core/plugin/contract.js";
import type { Logger } from "../../core/plugin/logger.js";
import type { RecordingClient, RecordingUpload } from "./recording-upload.js";

/** A recording that is to reach the auth service. */
export interface UploadItem {
  readonly id: string;
  readonly by: "proxy" | "node";
  readonly upload: RecordingUpload;
  /** The auth service has it: called once, and then no more is done with it. */
  finished(): void;
  /** It could not be uploaded while the plugin is being stopped: nobody should wait for it. */
  givenUp(): void;
}

export interface UploaderOptions {
  /** A client under the certificate of a role. Throws `UNAVAILABLE` before the process has joined. */
  readonly client: (by: "proxy" | "node") => RecordingClient;
  readonly logger: Logger;
  /** How often growing recordings are sent on, and the first wait after a failure; doubled up to 20 times. Default 3000. */
  readonly intervalMs?: number;
}

/** Takes turns at uploading every recording there is, again and again until the auth service has it whole. */
export class RecordingUploader implements Lifecycle {
  readonly #options: UploaderOptions;
  readonly #items = new Map<string, Waiting>();
  readonly #stop = new AbortController();
  #running: Promise<void> = Promise.resolve();
  #wake = new AbortController();
  #failures = 0;
  #draining = false;

  constructor(options: UploaderOptions) {
    this.#options = options;
  }

  async start(): Promise<void> {
    this.#running = this.#run();
  }

  /** From now on nobody waits for an auth service that cannot be reached; what can be uploaded still is. */
  async drain(): Promise<void> {
    this.#draining = true;
    this.#wake.abort();
  }

  async dispose(): Promise<void> {
    this.#stop.abort();
    this.#wake.abort();
    await this.#running;
  }

  add(item: UploadItem): void {
    this.#items.set(item.id, { item, failures: 0, notBefore: 0 });
  }

  has(id: string): boolean {
    return this.#items.has(id);
  }

  /** Goes to work now, e.g. because a recording has ended. */
  wake(): void {
    this.#wake.abort();
  }

  async #run(): Promise<void> {
    const { intervalMs = 3000 } = this.#options;
    while (!this.#stop.signal.aborted) {
      this.#wake = new AbortController();
      if (await this.#round()) continue;
      const ms = intervalMs * Math.min(2 ** Math.max(0, this.#failures - 1), 20);
      await delay(ms, undefined, { signal: this.#wake.signal }).catch(() => "woken");
    }
  }

  /** Gives every recording one turn. `true` when some have more to send. */
  async #round(): Promise<boolean> {
    const unreachable = new Set<string>();
    let more = false;
    for (const waiting of [...this.#items.values()]) {
      const { by, id } = waiting.item;
      if (this.#stop.signal.aborted) return false;
      if (unreachable.has(by) || waiting.notBefore > performance.now()) continue;
      try {
        more = (await this.#turn(waiting.item)) || more;
        waiting.failures = 0;
      } catch (error) {
        if (this.#stop.signal.aborted) return false;
        if (this.#draining) for (const { item } of this.#items.values()) if (item.by === by) item.givenUp();
        if (isMezError(error) && ["unavailable", "timeout"].includes(error.kind)) {
          unreachable.add(by);
          if (this.#failures === 0)
            this.#options.logger.warn("recordings wait for the auth service", { error: messageOf(error) });
        } else this.#refused(waiting, id, error);
      }
    }
    this.#failures = unreachable.size > 0 ? this.#failures + 1 : 0;
    return more && unreachable.size === 0;
  }

  async #turn(item: UploadItem): Promise<boolean> {
    const { id, by, upload } = item;
    const state = await upload.turn(this.#options.client(by), { signal: this.#stop.signal });
    if (state !== "finished") return state === "more to send";
    this.#items.delete(id);
    item.finished();
    return false;
  }

  /** Something is wrong with this recording alone, or with the place where recordings are kept: the others go on. */
  #refused(waiting: Waiting, id: string, error: unknown): void {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") {
      this.#items.delete(id);
      waiting.item.givenUp();
      return;
    }
    const { intervalMs = 3000 } = this.#options;
    waiting.failures += 1;
    waiting.notBefore = performance.now() + intervalMs * Math.min(2 ** (waiting.failures - 1), 100);
    if (waiting.failures === 1)
      this.#options.logger.error("a recording cannot be uploaded; it is kept on this host", { id, error: messageOf(error) });
  }
}

// --- internal ---

interface Waiting {
  readonly item: UploadItem;
  failures: number;
  /** On the clock of `performance.now()`. */
  notBefore: number;
}
