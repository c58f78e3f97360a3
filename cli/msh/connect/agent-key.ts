import { agentSignRequest, parseAgentSignature } from "../../../core/ssh/agent-protocol.js";
import { isCertificateType } from "../../../core/ssh/certificate.js";
import { WireReader } from "../../../core/ssh/wire.js";
import { UpstreamAgent } from "../agent/upstream-agent.js";
import type { CertifiedKey } from "./direct-login.js";

/** The certificate that an agent shows under this comment; `null` when it has none. It may ask the person before it signs. */
export async function keyInAgent(socket: string, comment: string): Promise<CertifiedKey | null> {
  const agent = new UpstreamAgent(socket);
  const shown = (await agent.list()).find((identity) => identity.comment === comment && isCertificate(identity.blob));
  if (shown === undefined) return null;
  return {
    certificate: shown.blob,
    async sign(bytes) {
      const answer = await agent.request(agentSignRequest(shown.blob, bytes));
      return answer === null ? null : parseAgentSignature(answer);
    },
  };
}

// --- internal ---

function isCertificate(blob: Buffer): boolean {
  return isCertificateType(new WireReader(blob, "key").text());
}
