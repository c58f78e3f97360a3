import { MezError } from "../../errors/error.js";
import type { Caller } from "../../plugin/caller.js";
import type { Authorizer } from "../../ports/authorizer.js";
import type { CallRoute } from "../call-route.js";

/** @throws {MezError} `UNAUTHENTICATED` for a caller without credentials, `ACCESS_DENIED` for one without the permission. */
export function authorize(caller: Caller, route: CallRoute, authorizer: Authorizer): void {
  if (route.permission === "public") return;
  if (caller.kind === "anonymous")
    throw new MezError(
      "UNAUTHENTICATED",
      "this call needs a login session: run mezctl login, then pass --token or set MEZITE_AUTH_TOKEN",
    );
  const reason = authorizer.refusal(caller, route.permission, route.holders);
  if (reason !== null)
    throw new MezError("ACCESS_DENIED", `access denied: ${reason}`, { detail: reason, fields: { permission: route.permission } });
}
