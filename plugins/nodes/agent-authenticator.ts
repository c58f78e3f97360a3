import { MezError } from "../../core/errors/error.js";
import type { Caller } from "../../core/plugin/caller.js";
import { subjectFields } from "../../core/plugin/certificate-subject.js";
import { ROLE_ORGANIZATION_PREFIX } from "../../core/plugin/host-identity.js";
import { readCertificate } from "../../core/plugin/read-certificate.js";
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
  /** A connection shows the same certificate at every call: it is read once. */
  readonly #read = new WeakMap<Buffer, HostCertificate>();

  /** @param onHeard Told of an agent when something has come over its connection since the last time. */
  constructor(
    private readonly directory: AgentDirectory,
    private readonly clusterName: string,
    private readonly clock: Clock,
    private readonly guards: Guards,
    private readonly onHeard: (agentId: string) => void = () => undefined,
  ) {}

  async authenticate({ bearerToken, clientCertificate, bytesRead = 0 }: CallCredentials): Promise<Caller | null> {
    if (clientCertificate === null || bearerToken !== null) return null;
    const certificate = this.#certificateOf(clientCertificate);
    const { name, organization } = certificate;
    if (name === undefined || organization === undefined || !organization.startsWith(ROLE_ORGANIZATION_PREFIX)) return null;
    const role = organization.slice(ROLE_ORGANIZATION_PREFIX.length);
    const now = this.clock.now();
    if (now < certificate.validFrom || now >= certificate.validTo)
      throw new MezError("UNAUTHENTICATED", `the host certificate of "${name}" has expired; join again with a new token`);
    const agent = role === "node" || role === "proxy" ? this.directory.find(role, name) : null;
    // The name may have been given to another since: the id in the certificate tells the old holder from the new.
    if (agent === null || !certificate.names.includes(`URI:${agentUri(this.clusterName, agent.id)}`)) {
      throw new MezError("UNAUTHENTICATED", "this agent was removed from the cluster; join it again with a new token", {
        detail: `certificate of ${role} "${name}"`,
      });
    }
    requireNoRefusal(this.guards, { agent: name });
    // A stream is authenticated again every few seconds, also when nothing has come meanwhile.
    if (bytesRead > certificate.bytesRead) {
      certificate.bytesRead = bytesRead;
      this.onHeard(agent.id);
    }
    return {
      kind: "agent",
      id: agent.id,
      name,
      role: agent.role,
      certificateSerial: certificate.serial,
      certificateExpiresAt: certificate.validTo,
    };
  }

  #certificateOf(der: Buffer): HostCertificate {
    const known = this.#read.get(der);
    if (known !== undefined) return known;
    const certificate = readHostCertificate(der);
    this.#read.set(der, certificate);
    return certificate;
  }
}

// --- internal ---

/** What a host certificate says, whether or not it is that of an agent. */
interface HostCertificate {
  readonly name: string | undefined;
  readonly organization: string | undefined;
  /** Subject alternative names, as `URI:…`. */
  readonly names: readonly string[];
  readonly serial: string;
  readonly validFrom: Date;
  readonly validTo: Date;
  /** Over its connection, when it was looked at last. */
  bytesRead: number;
}

function readHostCertificate(der: Buffer): HostCertificate {
  const certificate = readCertificate(der);
  const subject = subjectFields(certificate);
  return {
    name: subject.get("CN"),
    organization: subject.get("O"),
    names: (certificate.subjectAltName ?? "").split(", "),
    serial: certificate.serialNumber.toLowerCase(),
    validFrom: certificate.validFromDate,
    validTo: certificate.validToDate,
    bytesRead: 0,
  };
}
