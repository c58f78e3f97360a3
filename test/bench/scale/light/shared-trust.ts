import type { HostCredentials } from "../../../../core/plugin/host-identity.js";
import type { TrustBundle } from "../../../../plugins/ca/api.js";
import { trustReportOf, writeTrustReport } from "../../../../plugins/nodes/trust-report.js";
import { AgentServiceService } from "../../../../proto/gen/mezite/nodes/v1/nodes.js";
import { AGENT_FACTS } from "../fleet-protocol.js";

/** CA keys as agents have them, and the requests that speak of them. */
export interface TrustState {
  /** JSON, by the type of the CA. */
  readonly caKeys: ReadonlyMap<string, Buffer>;
  /** A `RegisterAgentRequest`. */
  readonly registration: Buffer;
  /** An `AgentHeartbeatRequest`. */
  readonly heartbeat: Buffer;
}

/** One `TrustState` for all agents that have the same keys. */
export class SharedTrust {
  readonly #known = new Map<string, TrustState>();
  #last: TrustState;
  /** Before the first copy. */
  readonly none: TrustState;

  /** @param credentials Of any of the agents: the same CA has signed them all. */
  constructor(private readonly credentials: Pick<HostCredentials, "certificatePem" | "trustPem">) {
    this.none = this.#make(new Map());
    this.#last = this.none;
  }

  of(caKeys: ReadonlyMap<string, Buffer>): TrustState {
    if (isSame(caKeys, this.#last.caKeys)) return this.#last;
    const name = [...caKeys].map(([key, value]) => `${key} ${value.toString("latin1")}`).join("\n");
    const state = this.#known.get(name) ?? this.#make(caKeys);
    this.#known.set(name, state);
    this.#last = state;
    return state;
  }

  #make(caKeys: ReadonlyMap<string, Buffer>): TrustState {
    const bundles = new Map([...caKeys].map(([key, value]) => [key, JSON.parse(value.toString()) as TrustBundle]));
    const trust = writeTrustReport(trustReportOf(this.credentials, bundles));
    const registration = AgentServiceService.registerAgent.requestSerialize({ ...AGENT_FACTS, trust });
    return { caKeys, registration, heartbeat: AgentServiceService.agentHeartbeat.requestSerialize({ trust }) };
  }
}

// --- internal ---

function isSame(one: ReadonlyMap<string, Buffer>, other: ReadonlyMap<string, Buffer>): boolean {
  return one.size === other.size && [...one].every(([key, value]) => other.get(key)?.equals(value) === true);
}
