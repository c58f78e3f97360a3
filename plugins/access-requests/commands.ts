import { command, defineCommands, group } from "../../core/plugin/commands.js";

const STATES = ["pending", "approved", "denied", "cancelled", "expired", "revoked"] as const;
const ID = { description: "Id of the request, or the beginning of it" };
const REASON = {
  type: "string",
  env: false,
  valueName: "text",
  description: "One line for the requester and the audit log",
} as const;

/** What `group` stands before: the same three commands are in both programs. */
const common = (group: "mezctl access-requests" | "msh request") => ({
  ls: command({
    name: "ls",
    summary: "List requests, newest first",
    description: "Shows your own, those that you may review or have reviewed; all of them to admins and auditors.",
    examples: [`${group} ls`, `${group} ls --state=pending`],
    flags: {
      state: { type: "enum", choices: STATES, env: false, description: "Only those in this state" },
      user: { type: "string", env: false, description: "Only those of this user" },
      limit: { type: "integer", min: 1, max: 1000, env: false, default: 100, description: "At most this many" },
    },
    async run(context, input) {
      const { listRequests } = await import("./request-commands.js");
      await listRequests(context, input);
    },
  }),
  get: command({
    name: "get",
    summary: "Show one request with its reviews",
    examples: [`${group} get 0197c1f2`],
    positionals: { id: ID },
    async run(context, { id }) {
      const { showRequest } = await import("./request-commands.js");
      await showRequest(context, id);
    },
  }),
  cancel: command({
    name: "cancel",
    summary: "Take back a request of yours that nobody has decided",
    examples: [`${group} cancel 0197c1f2`],
    positionals: { id: ID },
    async run(context, { id }) {
      const { cancelRequest } = await import("./request-commands.js");
      await cancelRequest(context, id);
    },
  }),
});

const review = (name: "approve" | "deny", summary: string) =>
  command({
    name,
    summary,
    description: "Needs every requested role in review_roles of a role of yours. Nobody reviews their own request.",
    examples: [`mezctl access-requests ${name} 0197c1f2 --reason="ticket 4711"`],
    positionals: { id: ID },
    flags: { reason: REASON },
    async run(context, { id, reason }) {
      const { reviewRequest } = await import("./request-commands.js");
      await reviewRequest(context, id, name === "approve", reason ?? "");
    },
  });

const revoke = command({
  name: "revoke",
  summary: "End approved access at once, with the sessions that needed it",
  description: "For admins and for those who approved it.",
  examples: ['mezctl access-requests revoke 0197c1f2 --reason="ticket closed"'],
  positionals: { id: ID },
  flags: { reason: REASON },
  async run(context, { id, reason }) {
    const { revokeRequest } = await import("./request-commands.js");
    await revokeRequest(context, id, reason ?? "");
  },
});

const create = command({
  name: "create",
  summary: "Ask for roles or single nodes, for a time",
  description:
    "What you may ask for stands in request_roles and request_resources of your roles. After the approval, your next certificate carries the roles and ends with them: log in again, or use --wait.",
  examples: [
    'msh request create --roles=ssh-production --reason="ticket 4711" --ttl=1h',
    "msh request create --nodes=db-01 --wait",
  ],
  flags: {
    roles: { type: "list", env: false, description: "Roles to ask for", valueName: "role,…" },
    nodes: { type: "list", env: false, description: "Nodes to ask for", valueName: "node,…" },
    reason: { type: "string", env: false, valueName: "text", description: "One line for the reviewers" },
    ttl: {
      type: "duration",
      minSeconds: 1,
      env: false,
      description: "How long the access shall last (default: 1h, or what the cluster says)",
    },
    wait: { type: "boolean", env: false, description: "Wait for the decision, and fetch certificates when it is approved" },
  },
  async run(context, input) {
    const { createRequest } = await import("./request-commands.js");
    await createRequest(context, input);
  },
});

const forReviewers = common("mezctl access-requests");
const forRequesters = common("msh request");

export default defineCommands({
  mezctl: [
    group({
      name: "access-requests",
      summary: "Review access that people ask for",
      commands: [
        forReviewers.ls,
        forReviewers.get,
        review("approve", "Approve a request"),
        review("deny", "Deny a request"),
        revoke,
        forReviewers.cancel,
      ],
    }),
  ],
  msh: [
    group({
      name: "request",
      summary: "Ask for roles or nodes for a time",
      commands: [create, forRequesters.ls, forRequesters.get, forRequesters.cancel],
    }),
  ],
});
