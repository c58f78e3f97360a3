/**
 * What authors of plugins import as `mezite/plugin`. What is not here may change in any release; what is here changes
 * as docs/writing-a-plugin.md says under "API versions".
 */
export { type ErrorCode, type ErrorKind, isErrorCode } from "../errors/codes.js";
export { toDiskError } from "../errors/disk-error.js";
export { type ErrorOptions, isMezError, MezError, messageOf } from "../errors/error.js";
export * from "../ports/audit-forwarder.js";
export * from "../ports/audit-sink.js";
export * from "../ports/authenticator.js";
export * from "../ports/authorizer.js";
export * from "../ports/cluster-setting.js";
export * from "../ports/connector.js";
export * from "../ports/guard.js";
export * from "../ports/integration.js";
export * from "../ports/join-method.js";
export * from "../ports/key-backend.js";
export * from "../ports/login-step.js";
export * from "../ports/recording-store.js";
export * from "../ports/storage-driver.js";
export * from "../ports/user-data.js";
export * from "../ports/web-authenticator.js";
export { type Clock, systemClock } from "../time/clock.js";
export { formatDuration, isDuration, parseDuration } from "../time/duration.js";
export type { AuditEvent, AuditEventType, AuditRecord } from "./audit.js";
export type { Caller, Permission, PermissionHolder, Traits } from "./caller.js";
export {
  type ChoiceSetting,
  CLUSTER_SETTINGS,
  type ClusterSetting,
  type ClusterSettings,
  type DurationSetting,
  type NumberSetting,
  type SettingValue,
} from "./cluster-settings.js";
export { COLLECTIONS, type Collection, type CollectionKind, type CollectionSource, type Collections } from "./collection.js";
export {
  type Column,
  type Command,
  type CommandContext,
  type CommandGroup,
  type CommandNode,
  type Commands,
  command,
  defineCommands,
  group,
} from "./commands.js";
export {
  definePlugin,
  type EventType,
  type Factory,
  type LatePortView,
  type Lifecycle,
  PLUGIN_API_VERSION,
  type Plugin,
  type Port,
  type PortView,
  type ProcessRole,
  type Registrar,
  type Resolve,
  type ServiceToken,
} from "./contract.js";
export { DATABASE, type Database, type Entities, type Migrations, type Transaction } from "./database.js";
export { DUTIES, type Duties } from "./duties.js";
export { html } from "./html.js";
export { LIVE_SESSIONS, type LiveSession, type LiveSessions } from "./live-sessions.js";
export { LOGGER, type LogFields, type Logger } from "./logger.js";
export type { CommandReference, DescribedArgument, DescribedCommand, DescribedOutput, Manifest } from "./manifest.js";
export { type Field, field, type Message, type MessageOf, message } from "./message.js";
export { once } from "./once.js";
export { CLOCK, LEASES, type Lease, type Leases, PROCESS, type ProcessInfo } from "./process.js";
export type {
  CallContext,
  RpcClient,
  RpcConnection,
  RpcDefinition,
  RpcHandlers,
  RpcMethod,
  RpcService,
  UnaryRpcMethod,
} from "./rpc.js";
export { rpcService } from "./rpc-service.js";
export { Secret } from "./secret.js";
export { Sweeper, type SweeperParts } from "./sweeper.js";
export type { WebHandler, WebHandlers, WebRequest, WebResponse, WebRoute, WebRoutes, WebSession } from "./web.js";
export { type WebPage, webPage } from "./web-page.js";
export { jsonResponse, NO_CONTENT, pageResponse, redirectResponse, textResponse } from "./web-response.js";
