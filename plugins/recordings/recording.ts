import type { Seal } from "./seal.js";

/** `interrupted`: the recorder stopped before the session did, or was not heard of any more. */
export type RecordingState = "recording" | "complete" | "interrupted";

/** A recording as the auth service knows it. */
export interface Recording {
  readonly id: string;
  readonly sessionId: string;
  /** Who made it and may add to it: `node:web-01`. */
  readonly recorder: string;
  readonly userName: string;
  readonly login: string;
  readonly node: string;
  /** Empty for a login shell. */
  readonly command: string;
  readonly startedAt: Date;
  /** `null` while it is growing. */
  readonly endedAt: Date | null;
  /** `null` while it is growing: then the store knows. */
  readonly sizeBytes: number | null;
  readonly state: RecordingState;
  /** When the auth service ended it, since its recorder was not heard of any more: what that still sends wins. Else `null`. */
  readonly abandonedAt: Date | null;
  /** `null` while it is growing, and for those from before there were seals. */
  readonly seal: Seal | null;
}
