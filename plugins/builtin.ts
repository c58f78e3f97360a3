import type { CatalogEntry } from "../core/host/catalog.js";
import accessRequests from "./access-requests/plugin.json" with { type: "json" };
import agentIdentities from "./agent-identities/plugin.json" with { type: "json" };
import audit from "./audit/plugin.json" with { type: "json" };
import authentication from "./authentication/plugin.json" with { type: "json" };
import ca from "./ca/plugin.json" with { type: "json" };
import clusterConfig from "./cluster-config/plugin.json" with { type: "json" };
import devices from "./devices/plugin.json" with { type: "json" };
import forwardFile from "./forward/file/plugin.json" with { type: "json" };
import forwardSyslog from "./forward/syslog/plugin.json" with { type: "json" };
import forwardWebhook from "./forward/webhook/plugin.json" with { type: "json" };
import integrationAwsOidc from "./integration/aws-oidc/plugin.json" with { type: "json" };
import integrations from "./integrations/plugin.json" with { type: "json" };
import joinToken from "./join/token/plugin.json" with { type: "json" };
import keysAwsKms from "./keys/aws-kms/plugin.json" with { type: "json" };
import keysPkcs11 from "./keys/pkcs11/plugin.json" with { type: "json" };
import keysSoftware from "./keys/software/plugin.json" with { type: "json" };
import locks from "./locks/plugin.json" with { type: "json" };
import mfa from "./mfa/plugin.json" with { type: "json" };
import nodes from "./nodes/plugin.json" with { type: "json" };
import pluginCatalog from "./plugin-catalog/plugin.json" with { type: "json" };
import recordingLocal from "./recording/local/plugin.json" with { type: "json" };
import recordingS3 from "./recording/s3/plugin.json" with { type: "json" };
import recordings from "./recordings/plugin.json" with { type: "json" };
import roles from "./roles/plugin.json" with { type: "json" };
import s3 from "./s3/plugin.json" with { type: "json" };
import sessions from "./sessions/plugin.json" with { type: "json" };
import spiffeBundle from "./spiffe-bundle/plugin.json" with { type: "json" };
import sshNode from "./ssh-node/plugin.json" with { type: "json" };
import sshProxy from "./ssh-proxy/plugin.json" with { type: "json" };
import storagePostgresql from "./storage/postgresql/plugin.json" with { type: "json" };
import storageSqlite from "./storage/sqlite/plugin.json" with { type: "json" };
import tokens from "./tokens/plugin.json" with { type: "json" };
import users from "./users/plugin.json" with { type: "json" };
import webSessions from "./web-sessions/plugin.json" with { type: "json" };
import workloadIdentities from "./workload-identities/plugin.json" with { type: "json" };

/** The plugins shipped in this build. Taking a folder and its line away removes the subsystem. */
export const BUILTIN_PLUGINS: readonly CatalogEntry[] = [
  { manifest: storageSqlite, service: () => import("./storage/sqlite/plugin.js") },
  { manifest: storagePostgresql, service: () => import("./storage/postgresql/plugin.js") },
  { manifest: keysSoftware, service: () => import("./keys/software/plugin.js") },
  { manifest: keysAwsKms, service: () => import("./keys/aws-kms/plugin.js") },
  { manifest: keysPkcs11, service: () => import("./keys/pkcs11/plugin.js") },
  { manifest: ca, service: () => import("./ca/plugin.js"), commands: () => import("./ca/commands.js") },
  { manifest: audit, service: () => import("./audit/plugin.js"), commands: () => import("./audit/commands.js") },
  {
    manifest: clusterConfig,
    service: () => import("./cluster-config/plugin.js"),
    commands: () => import("./cluster-config/commands.js"),
  },
  { manifest: roles, service: () => import("./roles/plugin.js"), commands: () => import("./roles/commands.js") },
  { manifest: users, service: () => import("./users/plugin.js"), commands: () => import("./users/commands.js") },
  {
    manifest: authentication,
    service: () => import("./authentication/plugin.js"),
    commands: () => import("./authentication/commands.js"),
  },
  {
    manifest: locks,
    onByDefault: true,
    service: () => import("./locks/plugin.js"),
    commands: () => import("./locks/commands.js"),
  },
  {
    manifest: accessRequests,
    onByDefault: true,
    service: () => import("./access-requests/plugin.js"),
    commands: () => import("./access-requests/commands.js"),
  },
  {
    manifest: mfa,
    onByDefault: true,
    service: () => import("./mfa/plugin.js"),
    commands: () => import("./mfa/commands.js"),
    loginAnswer: () => import("./mfa/login-answer.js"),
  },
  {
    manifest: devices,
    onByDefault: true,
    service: () => import("./devices/plugin.js"),
    commands: () => import("./devices/commands.js"),
    loginAnswer: () => import("./devices/login-answer.js"),
  },
  { manifest: tokens, service: () => import("./tokens/plugin.js"), commands: () => import("./tokens/commands.js") },
  { manifest: joinToken, service: () => import("./join/token/plugin.js") },
  {
    manifest: agentIdentities,
    onByDefault: true,
    service: () => import("./agent-identities/plugin.js"),
    commands: () => import("./agent-identities/commands.js"),
  },
  { manifest: nodes, service: () => import("./nodes/plugin.js"), commands: () => import("./nodes/commands.js") },
  {
    manifest: workloadIdentities,
    onByDefault: true,
    service: () => import("./workload-identities/plugin.js"),
    commands: () => import("./workload-identities/commands.js"),
  },
  { manifest: s3, service: () => import("./s3/plugin.js") },
  { manifest: forwardFile, service: () => import("./forward/file/plugin.js") },
  { manifest: forwardSyslog, service: () => import("./forward/syslog/plugin.js") },
  { manifest: forwardWebhook, service: () => import("./forward/webhook/plugin.js") },
  { manifest: recordingS3, service: () => import("./recording/s3/plugin.js") },
  { manifest: recordingLocal, onByDefault: true, service: () => import("./recording/local/plugin.js") },
  {
    manifest: recordings,
    onByDefault: true,
    service: () => import("./recordings/plugin.js"),
    commands: () => import("./recordings/commands.js"),
  },
  {
    manifest: sessions,
    onByDefault: true,
    service: () => import("./sessions/plugin.js"),
    commands: () => import("./sessions/commands.js"),
  },
  { manifest: spiffeBundle, onByDefault: true, service: () => import("./spiffe-bundle/plugin.js") },
  {
    manifest: integrations,
    onByDefault: true,
    service: () => import("./integrations/plugin.js"),
    commands: () => import("./integrations/commands.js"),
  },
  {
    manifest: integrationAwsOidc,
    onByDefault: true,
    service: () => import("./integration/aws-oidc/plugin.js"),
    commands: () => import("./integration/aws-oidc/commands.js"),
  },
  { manifest: webSessions, onByDefault: true, service: () => import("./web-sessions/plugin.js") },
  { manifest: sshProxy, service: () => import("./ssh-proxy/plugin.js") },
  { manifest: sshNode, service: () => import("./ssh-node/plugin.js") },
  {
    manifest: pluginCatalog,
    service: () => import("./plugin-catalog/plugin.js"),
    commands: () => import("./plugin-catalog/commands.js"),
  },
];
