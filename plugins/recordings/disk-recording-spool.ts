import { statSync } from "node:fs";
import { toDiskError } from "../../core/errors/disk-error.js";
import { MezError, messageOf } from "../../core/errors/error.js";
import type { Lifecycle } from "../../core/plugin/contract.js";
import type { Logger } from "../../core/plugin/logger.js";
import type { Lease } from "../../core/plugin/process.js";
import type { Clock } from "../../core/time/clock.js";
import type { RecordedChannel, RecordingSpool, RecordingWriter } from "./api.js";
import { recordingId } from "./recording-id.js";
import { RecordingUpload } from "./recording-upload.js";
import type { RecordingUploader } from "./recording-uploader.js";
import type { SpoolEntry, SpoolFolder } from "./spool-folder.js";
import { SpooledRecording } from "./spooled-recording.js";
import { cutBackToWholeLines } from "./whole-lines.js";

export interface DiskSpoolOptions {
  readonly folder: SpoolFolder;
  readonly uploader: RecordingUploader;
  readonly maxExecOutputBytes: number;
  /** In whose name recordings are uploaded that do not say it themselves. */
  readonly by: "proxy" | "node";
  /** Names this run of the process, so that one that a crash left behind is told from one that is under way. */
  readonly processId: string;
  /** Held from the beginning of a recording until the auth service has it, so that a stop or a reload lets it get there. */
  readonly takeLease: () => Lease;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Records into files and hands them to the uploader; at start, also those that an earlier process left behind. */
export class DiskRecordingSpool implements RecordingSpool, Lifecycle {
  readonly #options: DiskSpoolOptions;
  readonly #open = new Map<string, SpooledRecording>();
  /** Ids of files that were complained about. */
  readonly #unknown = new Set<string>();
  #search: NodeJS.Timeout | null = null;

  constructor(options: DiskSpoolOptions) {
    this.#options = options;
  }

  async start(): Promise<void> {
    const { folder, uploader } = this.#options;
    folder.create();
    this.#adopt();
    // An instance that was replaced leaves behind what it could not upload any more.
    this.#search = setInterval(() => this.#adopt(), SEARCH_MS).unref();
    await uploader.start();
  }

  async drain(): Promise<void> {
    await this.#options.uploader.drain();
  }

  async dispose(): Promise<void> {
    if (this.#search !== null) clearInterval(this.#search);
    await this.#options.uploader.dispose();
    for (const recording of this.#open.values()) recording.suspend();
  }

  async open(channel: RecordedChannel): Promise<RecordingWriter> {
    const { folder, uploader, maxExecOutputBytes, processId, takeLease, clock, by } = this.#options;
    const { startedAt, width, height, terminal, ...description } = channel;
    const id = recordingId(channel.sessionId, channel.channel);
    let entry: SpoolEntry = { by, ...description, id, startedAt: startedAt.toISOString(), processId, end: null };
    if (folder.has(id)) throw new MezError("ALREADY_EXISTS", `recording ${id} exists already`);
    try {
      folder.describe(entry);
      const recording = new SpooledRecording({
        path: folder.castPath(id),
        header: { width, height, terminal, startedAt, command: channel.command, title: titleOf(channel) },
        maxExecOutputBytes,
        monotonicMs: () => performance.now(),
        onClosed: (interrupted) => {
          this.#open.delete(id);
          entry = { ...entry, end: { at: clock.now().toISOString(), interrupted } };
          this.#noteEnd(entry);
          uploader.wake();
        },
      });
      this.#open.set(id, recording);
      const upload = new RecordingUpload(
        folder.castPath(id),
        () => entry,
        () => recording.flushedBytes,
        0,
      );
      this.#upload(entry, upload, takeLease());
      return recording;
    } catch (error) {
      folder.remove(id);
      throw toDiskError(error, "the recording of this session");
    }
  }

  #adopt(): void {
    const { folder, uploader, processId, logger } = this.#options;
    try {
      const { entries, unreadable } = folder.list();
      for (const id of unreadable) {
        if (this.#unknown.has(id)) continue;
        this.#unknown.add(id);
        logger.warn("a recording is left whose session is not known; it stays here", { id });
      }
      for (const entry of entries) {
        const isUnderWay = entry.processId === processId && entry.end === null;
        if (!isUnderWay && !uploader.has(entry.id)) this.#adoptOne(entry);
      }
    } catch (error) {
      logger.error("the folder of recordings cannot be read", { error: messageOf(error) });
    }
  }

  #adoptOne(entry: SpoolEntry): void {
    const { folder } = this.#options;
    const path = folder.castPath(entry.id);
    const bytes = cutBackToWholeLines(path);
    if (bytes === 0) return folder.remove(entry.id);
    const end = entry.end ?? { at: statSync(path).mtime.toISOString(), interrupted: true };
    const upload = new RecordingUpload(
      path,
      () => ({ ...entry, end }),
      () => bytes,
      null,
    );
    this.#upload(entry, upload, null);
  }

  #upload({ id, by }: SpoolEntry, upload: RecordingUpload, lease: Lease | null): void {
    const { folder, uploader } = this.#options;
    const finished = (): void => {
      folder.remove(id);
      lease?.return();
    };
    uploader.add({ id, by, upload, finished, givenUp: () => lease?.return() });
  }

  #noteEnd(entry: SpoolEntry): void {
    try {
      this.#options.folder.describe(entry);
    } catch (error) {
      // Only a crash before the upload would miss it, and then call the recording interrupted.
      this.#options.logger.warn("the end of a recording could not be noted", { id: entry.id, error: messageOf(error) });
    }
  }
}

// --- internal ---

const SEARCH_MS = 10_000;

function titleOf({ user, login, node, command }: RecordedChannel): string {
  return `${user}: ${login}@${node}${command === null ? "" : ` ${command.slice(0, 200)}`}`;
}
