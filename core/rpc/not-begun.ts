import { isMezError } from "../errors/error.js";

/** Fields of a refusal at the door of a server that can serve nobody now: nothing was begun, and another server may be asked. */
export const NOT_BEGUN = { notBegun: true } as const;

/** The same of a server that will not serve anybody again as it is. */
export const NOT_BEGUN_FOR_GOOD = { ...NOT_BEGUN, forGood: true } as const;

/** Whether the same server may well begin with the call a little later. */
export function mayBeginLater(error: unknown): boolean {
  return hasNotBegun(error) && isMezError(error) && error.fields.forGood !== true;
}

/** Whether a call may be made again at another server, because this one has not looked at it. */
export function hasNotBegun(error: unknown): boolean {
  return isMezError(error, "UNAVAILABLE") && error.fields.notBegun === true;
}
