import { MezError } from "../../core/errors/error.js";
import type { Recording } from "./recording.js";

/** What seals of recordings are for, as their signatures name it. */
export const SEAL_NAMESPACE = "recording@mezite";

/** What the auth service vouches for when a recording is complete. Times are ISO 8601 in UTC. JSON. */
export interface SealedFacts {
  readonly version: 1;
  readonly cluster: string;
  readonly id: string;
  readonly session: string;
  readonly user: string;
  readonly login: string;
  readonly node: string;
  /** Empty for a login shell. */
  readonly command: string;
  readonly recorder: string;
  readonly startedAt: string;
  readonly endedAt: string;
  readonly state: "complete" | "interrupted";
  readonly sizeBytes: number;
  /** Lower-case hex. */
  readonly sha256: string;
  readonly sealedAt: string;
}

/** A statement and the signature of the Host CA over it. */
export interface Seal {
  /** `SealedFacts` as JSON, byte for byte what was signed. */
  readonly statement: string;
  /** Armored SSH signature. */
  readonly signature: string;
}

/** What is found out when a recording ends. */
export type RecordingEnd = Pick<SealedFacts, "cluster" | "state" | "sizeBytes" | "sha256"> & {
  readonly endedAt: Date;
  readonly sealedAt: Date;
};

/** Writes the statement to be signed: one line of JSON. */
export function statementOf(recording: Recording, end: RecordingEnd): string {
  const { id, sessionId, userName, login, node, command, recorder, startedAt } = recording;
  const facts: SealedFacts = {
    version: 1,
    cluster: end.cluster,
    ...{ id, session: sessionId, user: userName, login, node, command, recorder },
    startedAt: startedAt.toISOString(),
    endedAt: end.endedAt.toISOString(),
    state: end.state,
    sizeBytes: end.sizeBytes,
    sha256: end.sha256,
    sealedAt: end.sealedAt.toISOString(),
  };
  return `${JSON.stringify(facts)}\n`;
}

/** Reads a statement whose signature was verified. @throws {MezError} `SEAL_BROKEN` for one of a later release */
export function parseStatement(statement: string): SealedFacts {
  const facts = JSON.parse(statement) as SealedFacts;
  if (facts.version === 1) return facts;
  throw new MezError("SEAL_BROKEN", "the seal is of a later release; use its mezctl");
}
