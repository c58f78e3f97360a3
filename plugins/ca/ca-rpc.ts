import { MezError } from "../../core/errors/error.js";
import type { RpcHandlers } from "../../core/plugin/rpc.js";
import * as proto from "../../proto/gen/mezite/ca/v1/ca.js";
import type { AuthorityType, CertificateAuthorities } from "./api.js";
import type { AuthorityDirectory, AuthorityStatus } from "./authority-directory.js";

/** `mezite.ca.v1.CaService` on top of the directory of authorities. */
export function caHandlers(
  directory: AuthorityDirectory,
  authorities: CertificateAuthorities,
  clusterName: string,
): RpcHandlers<proto.CaServiceService> {
  return {
    getStatus: async () => ({ authorities: (await directory.status()).map(toMessage) }),
    export: async ({ type }) => {
      const { sshPublicKeys, certificatesPem } = authorities.trustBundle(fromMessage(type));
      return { clusterName, sshPublicKeys: [...sshPublicKeys], certificatesPem: [...certificatesPem] };
    },
  };
}

// --- internal ---

const TYPES = { user: proto.AuthorityType.AUTHORITY_TYPE_USER, host: proto.AuthorityType.AUTHORITY_TYPE_HOST } as const;
const STATES = { active: proto.KeyState.KEY_STATE_ACTIVE, trusted: proto.KeyState.KEY_STATE_TRUSTED } as const;

function toMessage({ type, phase, keys }: AuthorityStatus): proto.Authority {
  return { type: TYPES[type], phase, keys: keys.map(({ state, ...key }) => ({ state: STATES[state], ...key })) };
}

function fromMessage(type: proto.AuthorityType): AuthorityType {
  if (type === proto.AuthorityType.AUTHORITY_TYPE_USER) return "user";
  if (type === proto.AuthorityType.AUTHORITY_TYPE_HOST) return "host";
  throw new MezError("INVALID_ARGUMENT", `authority type ${type} is unknown; use user or host`);
}
