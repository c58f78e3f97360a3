import { MezError } from "../../core/errors/error.js";
import type { RecordingPageEnd } from "./recording-repository.js";

/** Writes the end of a page as a word for the client to bring back. */
export function formatPageToken({ startedAt, id }: RecordingPageEnd): string {
  return Buffer.from(`${startedAt.getTime()} ${id}`).toString("base64url");
}

/** @throws {MezError} `INVALID_ARGUMENT` */
export function parsePageToken(token: string): RecordingPageEnd {
  const match = /^(\d{1,15}) ([0-9a-f.-]{1,64})$/.exec(Buffer.from(token, "base64url").toString("latin1"));
  if (match === null) throw new MezError("INVALID_ARGUMENT", "the page token is not one that this server gave out");
  return { startedAt: new Date(Number(match[1])), id: match[2] as string };
}
