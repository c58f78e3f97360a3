import { MezError } from "../../core/errors/error.js";

/** The last event of a page. */
export interface PageEnd {
  readonly timestamp: Date;
  readonly seq: number;
}

/** Writes the end of a page as a word for the client to bring back. */
export function formatPageToken(end: PageEnd): string {
  return Buffer.from(`${end.timestamp.getTime()}.${end.seq}`).toString("base64url");
}

/** @throws {MezError} `INVALID_ARGUMENT` */
export function parsePageToken(token: string): PageEnd {
  const match = /^(\d{1,15})\.(\d{1,15})$/.exec(Buffer.from(token, "base64url").toString("latin1"));
  if (match === null) throw new MezError("INVALID_ARGUMENT", "the page token is not one that this server gave out");
  return { timestamp: new Date(Number(match[1])), seq: Number(match[2]) };
}
