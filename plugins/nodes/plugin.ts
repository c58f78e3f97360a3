import { hostname } from "node:os";
import { MezError } from "../../core/errors/error.js";
import { definePlugin } from "../../core/plugin/contract.js";
import { HOST_IDENTITIES } from "../../core/plugin/host-identity.js";
import { parseDuration } from "../../core/time/duration.js";
import { parsePublicAddresses } from "./agent.js";
import { AGENT_REGISTRATION } from "./api.js";
import { registerInventory } from "./inventory-registration.js";
import { nodesServices } from "./nodes-services.js";

interface NodesConfig {
  readonly host_name: string;
  readonly public_addresses: readonly string[];
  readonly host_certificate_ttl: string;
  readonly heartbeat_interval: string;
}

export default definePlugin<NodesConfig>({
  register(host, config) {
    const hostTtlSeconds = secondsIn("host_certificate_ttl", config.host_certificate_ttl, 10, 604_800);
    const heartbeatSeconds = secondsIn("heartbeat_interval", config.heartbeat_interval, 1, 3_600);
    const publicAddresses = parsePublicAddresses(config.public_addresses);
    const hostName = config.host_name === "" ? hostname().toLowerCase().slice(0, 64) : config.host_name;
    const settings = { hostName, publicAddresses, hostTtlSeconds, heartbeatSeconds };
    const services = nodesServices(settings, host.roles);
    if (host.roles.has("auth")) registerInventory(host, services, settings);
    host.provide(HOST_IDENTITIES, services.identities);
    if (host.roles.has("node")) host.provide(AGENT_REGISTRATION, services.runtime);
    host.run(services.runtime);
  },
});

// --- internal ---

function secondsIn(key: string, text: string, min: number, max: number): number {
  const seconds = parseDuration(text);
  if (seconds >= min && seconds <= max) return seconds;
  throw new MezError("INVALID_ARGUMENT", `${key} "${text}" of plugin nodes is out of range; use ${min} to ${max} seconds`);
}
