import { MezError } from "../../core/errors/error.js";

/** The session's id for its first channel, `<sessionId>.<channel>` for later ones. */
export function recordingId(sessionId: string, channel: number): string {
  return parseRecordingId(channel === 0 ? sessionId : `${sessionId}.${channel}`);
}

/** @throws {MezError} `INVALID_ARGUMENT` */
export function parseRecordingId(text: string): string {
  if (ID.test(text)) return text;
  throw new MezError("INVALID_ARGUMENT", `"${text.slice(0, 60)}" is not the id of a recording; mezctl recordings ls shows them`);
}

/** The same for an id that a person asks for: nothing has one that is malformed. @throws {MezError} `NOT_FOUND` */
export function wantedRecordingId(text: string): string {
  if (ID.test(text)) return text;
  throw new MezError("NOT_FOUND", `there is no recording "${text.slice(0, 60)}"; mezctl recordings ls shows them`);
}

// --- internal ---

const ID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}(?:\.[1-9]\d{0,8})?$/;
