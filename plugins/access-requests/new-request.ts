import { MezError } from "../../core/errors/error.js";
import type { Collection } from "../../core/plugin/collection.js";
import type { NodeEntry } from "../nodes/api.js";
import type { Role } from "../roles/api.js";
import { rightsOf } from "./request-rights.js";

export interface CheckedRequest {
  /** Sorted, without repetition. */
  readonly roles: readonly string[];
  readonly nodes: readonly string[];
  readonly reason: string;
  /** 0 asks for the default. */
  readonly ttlSeconds: number;
}

/**
 * Checks what a person asks for against their own roles. Something that does not exist gets the same answer as something
 * that they may not ask for.
 * @param own The roles that the person holds anyway.
 * @throws {MezError} `INVALID_ARGUMENT`, `ACCESS_DENIED`
 */
export function checkRequest(
  { roles, nodes, reason, ttlSeconds }: CheckedRequest,
  user: string,
  own: readonly Role[],
  known: { readonly roles: Pick<Collection<Role>, "get" | "values">; readonly nodes: Pick<Collection<NodeEntry>, "get"> },
): CheckedRequest {
  const checked = { roles: sorted(roles), nodes: sorted(nodes), reason: reason.trim(), ttlSeconds };
  if (checked.roles.length + checked.nodes.length === 0)
    throw new MezError("INVALID_ARGUMENT", "a request names at least one role or node; give --roles or --nodes");
  if (checked.roles.length + checked.nodes.length > MAX_SUBJECTS)
    throw new MezError("INVALID_ARGUMENT", `a request names at most ${MAX_SUBJECTS} roles and nodes`);
  if (checked.reason.length > MAX_REASON_CHARACTERS || /\p{Cc}/u.test(checked.reason))
    throw new MezError("INVALID_ARGUMENT", `the reason has to be one line of up to ${MAX_REASON_CHARACTERS} characters`);
  if (!Number.isSafeInteger(ttlSeconds) || ttlSeconds < 0)
    throw new MezError("INVALID_ARGUMENT", `a lifetime of ${ttlSeconds} s is not valid; ask for at least 1 s`);
  const rights = rightsOf(own);
  for (const role of checked.roles) {
    if (own.some(({ name }) => name === role)) throw new MezError("INVALID_ARGUMENT", `${user} has role ${role} already`);
    if (known.roles.get(role) !== undefined && rights.mayAskForRole(role)) continue;
    const askable = [...known.roles.values()].map(({ name }) => name).filter((name) => rights.mayAskForRole(name));
    const instead = askable.length === 0 ? "there is no role to ask for" : `roles to ask for: ${askable.sort().join(", ")}`;
    throw new MezError("ACCESS_DENIED", `${user} may not ask for role "${printable(role)}"; ${instead}`);
  }
  for (const node of checked.nodes) {
    if (known.nodes.get(node) === undefined || rights.rolesOffering(node).length === 0)
      throw new MezError(
        "ACCESS_DENIED",
        `${user} may not ask for node "${printable(node)}"; no role offers it in request_resources`,
      );
  }
  return checked;
}

// --- internal ---

const MAX_SUBJECTS = 50;
const MAX_REASON_CHARACTERS = 500;

function sorted(names: readonly string[]): readonly string[] {
  return [...new Set(names)].sort();
}

function printable(text: string): string {
  return text.replace(/\p{Cc}/gu, "?").slice(0, 64);
}
