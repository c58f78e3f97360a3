import { isMezError } from "../errors/error.js";

/** Fields of a refusal at the door of a server that can serve nobody now: nothing was begun, and another server may be asked. */
export const NOT_BEGUN = { notBegun: true } as const;

/** Whether a call may be made again at another server, because this one has not looked at it. */
export function hasNotBegun(error: unknown): boolean {
  return isMezError(error, "UNAVAILABLE") && error.fields.notBegun === true;
}
