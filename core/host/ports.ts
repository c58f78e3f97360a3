import type { Port } from "../plugin/contract.js";
import { AUDIT_FORWARDER } from "../ports/audit-forwarder.js";
import { AUDIT_SINK } from "../ports/audit-sink.js";
import { AUTHENTICATOR } from "../ports/authenticator.js";
import { AUTHORIZER } from "../ports/authorizer.js";
import { CLUSTER_SETTING } from "../ports/cluster-setting.js";
import { CONNECTOR } from "../ports/connector.js";
import { GUARD } from "../ports/guard.js";
import { INTEGRATION } from "../ports/integration.js";
import { JOIN_METHOD } from "../ports/join-method.js";
import { KEY_BACKEND } from "../ports/key-backend.js";
import { LOGIN_STEP } from "../ports/login-step.js";
import { RECORDING_STORE } from "../ports/recording-store.js";
import { STORAGE_DRIVER } from "../ports/storage-driver.js";
import { USER_DATA } from "../ports/user-data.js";
import { WEB_AUTHENTICATOR } from "../ports/web-authenticator.js";
import type { PortCardinalities } from "./graph.js";

const PORTS: readonly Port<unknown>[] = [
  AUDIT_FORWARDER,
  AUDIT_SINK,
  AUTHENTICATOR,
  AUTHORIZER,
  CLUSTER_SETTING,
  CONNECTOR,
  GUARD,
  INTEGRATION,
  JOIN_METHOD,
  KEY_BACKEND,
  LOGIN_STEP,
  RECORDING_STORE,
  STORAGE_DRIVER,
  USER_DATA,
  WEB_AUTHENTICATOR,
];

/** Ports whose fillers decide who is let in: without one of them more would be. */
const DECIDING: ReadonlySet<string> = new Set([AUTHORIZER.id, GUARD.id, LOGIN_STEP.id]);

/** Whether one who fills `ports` keeps people out; of a port that this release does not have it is assumed. */
export function keepsOut(ports: readonly string[]): boolean {
  return ports.some((port) => DECIDING.has(port) || !PORT_CARDINALITIES.has(port));
}

/** Every extension point of this release. */
export const PORT_CARDINALITIES: PortCardinalities = new Map(PORTS.map(({ id, cardinality }) => [id, cardinality]));
