import { X509Certificate } from "node:crypto";
import { MezError } from "../../core/errors/error.js";
import type { Caller } from "../../core/plugin/caller.js";
import { ROLE_ORGANIZATION_PREFIX } from "../../core/plugin/host-identity.js";
import type { Authenticator, CallCredentials } from "../../core/ports/authenticator.js";
import { type Guards, requireNoRefusal } from "../../core/ports/guard.js";
import type { Clock } from "../../core/time/clock.js";
import type { AgentDirectory } from "./agent-directory.js";
import { agentUri } from "./host-certificates.js";

/**
 * Knows agents by their host certificates. That the Host CA issued it, TLS has checked; here, that it is within its
 * dates and that the record it names still exists: removing an agent ends its certificates.
 */
export class AgentAuthenticator implements Authenticator {
  constructor(
    private readonly directory: AgentDirectory,
    private readonly clusterName: string,
    private readonly clock: Clock,
    private readonly guards: Guards,
  ) {}

  async authenticate({ bearerToken, clientCertificate }: CallCredentials): Promise<Caller | null> {
    if (clientCertificate === null || bearerToken !== null) return null;
    const certificate = new X509Certificate(clientCertificate);
    const subject = new Map(
      certificate.subject.split("\n").map((line) => [line.slice(0, line.indexOf("=")), line.slice(line.indexOf("=") + 1)]),
    );
    const [name, organization] = [subject.get("CN"), subject.get("O")];
    if (name === undefined || organization === undefined || !organization.startsWith(ROLE_ORGANIZATION_PREFIX)) return null;
    const role = organization.slice(ROLE_ORGANIZATION_PREFIX.length);
    const now = this.clock.now();
    if (now < certificate.validFromDate || now >= certificate.validToDate)
      throw new MezError("UNAUTHENTICATED", `the host certificate of "${name}" has expired; join again with a new token`);
    const agent = role === "node" || role === "proxy" ? this.directory.find(role, name) : null;
    // The name may have been given to another since: the id in the certificate tells the old holder from the new.
    if (agent === null || !namesAgent(certificate, agentUri(this.clusterName, agent.id))) {
      throw new MezError("UNAUTHENTICATED", "this agent was removed from the cluster; join it again with a new token", {
        detail: `certificate of ${role} "${name}"`,
      });
    }
    requireNoRefusal(this.guards, { agent: name });
    return {
      kind: "agent",
      id: agent.id,
      name,
      role: agent.role,
      certificateSerial: certificate.serialNumber.toLowerCase(),
      certificateExpiresAt: certificate.validToDate,
    };
  }
}

// --- internal ---

function namesAgent(certificate: X509Certificate, uri: string): boolean {
  return (certificate.subjectAltName ?? "").split(", ").includes(`URI:${uri}`);
}
