/** Frames that are in the write-ahead log, and how many of them the database has; -1 when somebody else was at it. */
export interface LogState {
  readonly log: number;
  readonly checkpointed: number;
}

/** What the thread is asked for. It answers `checkpoint` alone. */
export type CheckpointRequest = "checkpoint" | "close";

export type CheckpointAnswer = LogState | { readonly code: string; readonly message: string };
