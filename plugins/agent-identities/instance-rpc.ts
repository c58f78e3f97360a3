import { MezError } from "../../core/errors/error.js";
import type { CallContext, RpcHandlers, RpcService } from "../../core/plugin/rpc.js";
import {
  CertificateRequest,
  type InstanceCertificates as CertificatesMessage,
  InstanceServiceService,
} from "../../proto/gen/mezite/agent_identities/v1/agent_identities.js";
import type { InstanceCertificates } from "./instance-certificates.js";
import type { InstanceService, PresentedInstance } from "./instance-service.js";

export const INSTANCE_RPC: RpcService<typeof InstanceServiceService> = {
  name: "mezite.agent_identities.v1.InstanceService",
  definition: InstanceServiceService,
  permissions: {
    bootstrapAgentIdentity: "public",
    renewAgentIdentity: "instance-certificate:create",
    confirmAgentIdentity: "instance-certificate:update",
  },
};

/** Answers the calls of the machines themselves: joining, renewing, confirming what they hold. */
export function instanceHandlers(instances: InstanceService): RpcHandlers<typeof InstanceServiceService> {
  return {
    async bootstrapAgentIdentity({ method, proof, request }, { serverFingerprint, clientAddress }) {
      const order = readOrder(request);
      return toMessage(await instances.bootstrap({ method, proof, bytes: request, order, serverFingerprint, clientAddress }));
    },
    async renewAgentIdentity(request, call) {
      return toMessage(await instances.renew(presentedIn(call), request, call.clientAddress));
    },
    async confirmAgentIdentity(_request, call) {
      await instances.confirm(presentedIn(call), call.clientAddress);
      return {};
    },
  };
}

// --- internal ---

function presentedIn({ caller }: CallContext): PresentedInstance {
  if (caller.kind !== "agent_identity")
    throw new MezError("ACCESS_DENIED", "only an agent identity may call this, with its X.509 certificate");
  return caller;
}

function readOrder(bytes: Buffer): CertificateRequest {
  try {
    return CertificateRequest.decode(bytes);
  } catch (cause) {
    throw new MezError("INVALID_ARGUMENT", "the request for certificates cannot be read", { cause });
  }
}

function toMessage({ sshCertificate, expiresAt, trustPem, ...rest }: InstanceCertificates): CertificatesMessage {
  return {
    ...rest,
    sshCertificate: Buffer.from(sshCertificate, "base64"),
    expiresAt: new Date(expiresAt),
    trustPem: [...trustPem],
  };
}
