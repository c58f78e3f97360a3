import { performance } from "node:perf_hooks";
import { CollectionRegistry, kindId } from "../../core/events/collections.js";
import { type AccessNode, ROLES_COLLECTION, type Role, USERS_COLLECTION } from "../../plugins/roles/api.js";
import { LiveAccess } from "../../plugins/roles/live-access.js";
import { median } from "./statistics.js";

/** Medians over the rounds of one run. */
export interface AuthorizationTimes {
  /** One decision for a person with 100 roles, over nodes with other labels each time, in microseconds. */
  readonly decisionMicroseconds: number;
  /** The same without anything remembered: after a role has changed, in microseconds. */
  readonly firstDecisionMicroseconds: number;
  /** Which of 10,000 nodes a person sees who may see half of them, in milliseconds. */
  readonly visibleNodesMilliseconds: number;
}

/** Measures access decisions in process: 100 roles with exact labels, lists, regular expressions, templates and denials. */
export function measureAuthorization(rounds = 5, perRound = 20_000): AuthorizationTimes {
  const registry = new CollectionRegistry();
  const roles = Array.from({ length: 100 }, (_, index) => benchRole(index));
  for (const role of roles) registry.apply([{ kind: kindId(ROLES_COLLECTION), key: role.name, value: role }]);
  const half = { ...benchRole(0), name: "half", allow: { ...benchRole(0).allow, nodeLabels: { env: ["env-0"] } } };
  registry.apply([{ kind: kindId(ROLES_COLLECTION), key: "half", value: half }]);
  const traits = { internal: { logins: ["alice", "deploy"] }, external: { team: ["core"] } };
  const held = roles.map(({ name }) => name);
  registry.apply([{ kind: kindId(USERS_COLLECTION), key: "alice", value: { roles: held, traits } }]);
  registry.apply([{ kind: kindId(USERS_COLLECTION), key: "bob", value: { roles: ["half"], traits } }]);
  const access = new LiveAccess(registry.of(ROLES_COLLECTION), registry.of(USERS_COLLECTION));
  // As a certificate brings them: another array than the one in the collection.
  const subject = { user: "alice", roles: [...held] };
  const nodes: AccessNode[] = Array.from({ length: 10_000 }, (_, index) => ({
    name: `node-${index}`,
    labels: {
      env: `env-${index % 2}`,
      team: `eng-${index % 150}`,
      region: `r${index % 10}`,
      tier: index % 7 === 0 ? "restricted" : "open",
    },
  }));

  const decisions: number[] = [];
  const firsts: number[] = [];
  const lists: number[] = [];
  for (let round = 0; round < rounds; round++) {
    registry.apply([{ kind: kindId(ROLES_COLLECTION), key: "half", value: half }]);
    firsts.push(timed(() => access.decide({ ...subject, node: nodes[0]!, login: "deploy" })) * 1000);
    const time = timed(() => {
      for (let index = 0; index < perRound; index++)
        access.decide({ ...subject, node: nodes[index % nodes.length]!, login: "deploy" });
    });
    decisions.push((time * 1000) / perRound);
    lists.push(timed(() => access.visibleNodes({ user: "bob", roles: ["half"] }, nodes)));
  }
  return {
    decisionMicroseconds: median(decisions),
    firstDecisionMicroseconds: median(firsts),
    visibleNodesMilliseconds: median(lists),
  };
}

// --- internal ---

function benchRole(index: number): Role {
  const nothing = { nodeLabels: {}, appLabels: {}, logins: [], requestRoles: [], requestResources: [], reviewRoles: [] };
  return {
    name: `role-${index}`,
    description: "",
    options: {
      maxSessionTtlSeconds: 3600 + index,
      requireSessionMfa: "",
      deviceTrustMode: "",
      portForwarding: true,
      fileCopy: true,
    },
    allow: {
      ...nothing,
      nodeLabels:
        index % 3 === 0 ? { team: [`^eng-${index}.*$`], region: ["*"] } : { env: ["env-0", "env-2"], team: [`eng-${index}`] },
      logins: ["{{internal.logins}}", `svc-${index}`, "{{external.team}}-ro"],
    },
    deny:
      index % 10 === 0
        ? { ...nothing, nodeLabels: { tier: ["restricted"], region: [`r${index / 10}`] }, logins: ["root"] }
        : nothing,
  };
}

function timed(work: () => unknown): number {
  const start = performance.now();
  work();
  return performance.now() - start;
}
