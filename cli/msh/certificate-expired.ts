import { MezError } from "../../core/errors/error.js";
import { ago } from "./ago.js";
import type { Profile } from "./profile.js";

/** What a person is told whose certificates are not valid any more: `UNAUTHENTICATED`. */
export function certificateExpired({ user, cluster, expiresAt }: Profile, now: Date): MezError {
  return new MezError(
    "UNAUTHENTICATED",
    `the certificate of ${user} for cluster ${cluster} expired ${ago(expiresAt, now)}; run "msh login"`,
  );
}
