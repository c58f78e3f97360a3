import type { Caller } from "../../core/plugin/caller.js";
import type { Collection } from "../../core/plugin/collection.js";
import { type Guards, guardRefusal } from "../../core/ports/guard.js";
import type { NodeEntry } from "../nodes/api.js";
import type { Access, Role, UserEntry } from "../roles/api.js";
import type { AccessRequest } from "./access-request.js";
import { mayReview, rightsOf } from "./request-rights.js";

/** A person who calls, with where from. */
export interface Person extends Pick<Caller & { kind: "user" }, "name" | "roles" | "sessionId"> {
  readonly clientAddress: string;
}

export interface RequestPeopleParts {
  readonly access: Pick<Access, "holdings" | "decideReach" | "wouldReach">;
  readonly users: Pick<Collection<UserEntry>, "get">;
  readonly roles: Pick<Collection<Role>, "get" | "values">;
  readonly nodes: Pick<Collection<NodeEntry>, "get">;
  readonly guards: Guards;
}

/** Who may see, ask for and review what, as users and roles are now. */
export class RequestPeople {
  constructor(private readonly parts: RequestPeopleParts) {}

  /** What a person could ask for to reach a node that exists; empty answers for one that does not. */
  suggest(
    nodeName: string,
    person: Person,
  ): { readonly reachable: boolean; readonly roles: readonly string[]; readonly node: boolean } {
    const { access, nodes, roles } = this.parts;
    const node = nodes.get(nodeName);
    if (node === undefined) return { reachable: false, roles: [], node: false };
    const rights = rightsOf(this.ownRoles(person.name));
    const held = new Set(person.roles);
    const decision = access.decideReach({ user: person.name, roles: person.roles, node });
    const askable = [...roles.values()].map(({ name }) => name).filter((name) => !held.has(name) && rights.mayAskForRole(name));
    return {
      // A second factor or a device that is not shown here is no reason to ask for more.
      reachable: decision.allowed || decision.missing !== undefined,
      roles: askable.filter((name) => access.wouldReach(person.name, [name], node)).sort(),
      node: rights.rolesOffering(nodeName).length > 0,
    };
  }

  /** Whether a person made, reviewed or may review a request. */
  maySee(request: AccessRequest, { name }: Person): boolean {
    const isParty = request.user === name || request.reviews.some(({ reviewer }) => reviewer === name);
    return isParty || this.mayReview(name, request);
  }

  /** Whether a person may decide on all of a request. One who is locked may not, whatever they said before. */
  mayReview(reviewer: string, request: AccessRequest): boolean {
    const { access, guards } = this.parts;
    const { roles } = access.holdings(reviewer);
    if (!mayReview(rightsOf(this.named(roles)), rightsOf(this.ownRoles(request.user)), request)) return false;
    return guardRefusal(guards, { user: reviewer, roles }) === null;
  }

  /** The roles of a user without what was granted for a time: one grant is no way to the next. */
  ownRoles(user: string): readonly Role[] {
    return this.named(this.parts.users.get(user)?.roles ?? []);
  }

  /** Those of the roles that exist. */
  named(names: readonly string[]): readonly Role[] {
    return names.map((name) => this.parts.roles.get(name)).filter((role) => role !== undefined);
  }
}
