import { resolve as resolvePath } from "node:path";
import { MezError } from "../../core/errors/error.js";
import type { ClusterSettings } from "../../core/plugin/cluster-settings.js";
import type { Database } from "../../core/plugin/database.js";
import type { Clock } from "../../core/time/clock.js";
import type { Bucket } from "../s3/api.js";
import { AUDIT_RETENTION } from "./api.js";
import { ArchivePruner } from "./archive-pruner.js";
import { readArchive } from "./archive-reader.js";
import { lastSegment } from "./archive-repository.js";
import type { Segment } from "./archive-segment.js";
import type { ArchiveStore } from "./archive-store.js";
import { Archiver } from "./archiver.js";
import type { AuditRow } from "./audit-row.js";
import { BucketArchiveStore } from "./bucket-archive-store.js";
import { FolderArchiveStore } from "./folder-archive-store.js";

export interface ArchiveParts {
  readonly database: Database;
  readonly settings: ClusterSettings;
  readonly clock: Clock;
  /** `null` while the cluster has none. */
  readonly bucket: () => Bucket | null;
  readonly dataDirectory: string;
  /** Empty takes the bucket. A relative one begins in the data directory. */
  readonly directory: string;
  readonly prefix: string;
  /** The last event that every forwarder has taken. */
  readonly takenSeq: () => number;
  /** How long events wait for a forwarder, in seconds, after their time is up. */
  readonly patienceSeconds: number;
}

/** The archive of the audit log, wherever it is. */
export class ArchiveService {
  constructor(private readonly parts: ArchiveParts) {}

  /** @throws {MezError} `ARCHIVE_NOT_CONFIGURED` */
  store(): ArchiveStore {
    const store = this.#store();
    if (store === null)
      throw new MezError(
        "ARCHIVE_NOT_CONFIGURED",
        "there is no place to archive to; enable the plugin s3, or set audit.archive_directory, on the auth server",
      );
    return store;
  }

  /** Archives everything, a file after the other. @throws {MezError} as `Archiver.run`, and `ARCHIVE_NOT_CONFIGURED` */
  run(userName: string): AsyncGenerator<Segment, void> {
    const { database, clock } = this.parts;
    return new Archiver({ database, clock, store: this.store() }).run(userName);
  }

  /** Removes what is archived and older than the setting. @returns How many events. */
  async prune(userName: string): Promise<number> {
    const { database, settings, clock, takenSeq, patienceSeconds } = this.parts;
    const retentionSeconds = settings.get(AUDIT_RETENTION);
    if (retentionSeconds === 0) return 0;
    const olderThan = new Date(clock.now().getTime() - retentionSeconds * 1000);
    const olderThanAwaited = new Date(olderThan.getTime() - patienceSeconds * 1000);
    return new ArchivePruner(database, this.store()).prune({ olderThan, olderThanAwaited, takenSeq: takenSeq(), userName });
  }

  /** The whole archive in the order of the chain. */
  read(): AsyncGenerator<readonly AuditRow[], void> {
    return readArchive(this.store());
  }

  /** Where it is and where it ends; `null` without a place. */
  async state(): Promise<{ readonly destination: string; readonly last: Segment | null } | null> {
    const store = this.#store();
    if (store === null) return null;
    const last = await this.parts.database.read((em) => lastSegment(em, store.name));
    const sealed = last === null || last.sealed ? last : { ...last, lastSeq: last.firstSeq - 1, lastHash: last.previousHash };
    return { destination: store.name, last: sealed };
  }

  #store(): ArchiveStore | null {
    const { bucket, dataDirectory, directory, prefix } = this.parts;
    if (directory !== "") return new FolderArchiveStore(resolvePath(dataDirectory, directory));
    const found = bucket();
    return found === null ? null : new BucketArchiveStore(found, prefix);
  }
}
