import { AUTH_DOOR, type AuthDoor } from "../plugin/auth-door.js";
import { CLUSTER_SETTINGS } from "../plugin/cluster-settings.js";
import { COLLECTIONS, type Collections } from "../plugin/collection.js";
import { DATABASE, type Database } from "../plugin/database.js";
import { RPC_DIALER, type RpcDialer } from "../plugin/dialer.js";
import { DUTIES, type Duties } from "../plugin/duties.js";
import { LIVE_SESSIONS, type LiveSessions } from "../plugin/live-sessions.js";
import { LOGGER, type Logger } from "../plugin/logger.js";
import { PLUGIN_HOST, type PluginHost } from "../plugin/plugin-host.js";
import { CLOCK, LEASES, PROCESS, type ProcessInfo } from "../plugin/process.js";
import { WEB_DOOR, type WebDoor } from "../plugin/web-door.js";
import type { Clock } from "../time/clock.js";
import type { CoreServices } from "./generation.js";
import type { PluginInstance } from "./instance.js";
import { databaseFor } from "./plugin-database.js";
import { SettingsView } from "./settings-view.js";

export interface CoreParts {
  readonly process: ProcessInfo;
  readonly clock: Clock;
  readonly logger: (pluginId: string) => Logger;
  readonly database: Database;
  readonly duties: Duties;
  readonly collections: Collections;
  readonly liveSessions: LiveSessions;
  readonly dialer: RpcDialer;
  readonly authDoor: AuthDoor;
  readonly webDoor: WebDoor;
  readonly pluginHost: PluginHost;
}

/** The core's own services; the ids begin with `core.` and need no listing in a manifest. */
export function coreServices(parts: CoreParts): CoreServices {
  const settings = new SettingsView(parts.collections);
  return new Map<string, (instance: PluginInstance) => unknown>([
    [PROCESS.id, () => parts.process],
    [CLOCK.id, () => parts.clock],
    [LOGGER.id, (instance) => parts.logger(instance.id)],
    [DATABASE.id, (instance) => databaseFor(instance.manifest, parts.database)],
    [DUTIES.id, (instance) => ({ have: (name: string) => parts.duties.have(`${instance.id}.${name}`) })],
    [COLLECTIONS.id, () => parts.collections],
    [CLUSTER_SETTINGS.id, () => settings],
    [LIVE_SESSIONS.id, () => parts.liveSessions],
    [LEASES.id, (instance) => ({ take: () => ({ return: instance.lease() }) })],
    [RPC_DIALER.id, () => parts.dialer],
    [AUTH_DOOR.id, () => parts.authDoor],
    [WEB_DOOR.id, () => parts.webDoor],
    [PLUGIN_HOST.id, () => parts.pluginHost],
  ]);
}
