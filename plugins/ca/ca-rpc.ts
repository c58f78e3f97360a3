import { MezError } from "../../core/errors/error.js";
import type { CallContext, RpcHandlers, RpcService } from "../../core/plugin/rpc.js";
import * as proto from "../../proto/gen/mezite/ca/v1/ca.js";
import type { AuthorityType, CertificateAuthorities } from "./api.js";
import type { AuthorityDirectory, AuthorityStatus } from "./authority-directory.js";
import { authorityTypeOf, WIRE_TYPES } from "./authority-message.js";
import { AUTHORITY_TYPES } from "./authority-type.js";
import type { Rotation, RotationAuthor } from "./rotation.js";

export const CA_RPC: RpcService<proto.CaServiceService> = {
  name: "mezite.ca.v1.CaService",
  definition: proto.CaServiceService,
  permissions: { getStatus: "ca:read", export: "public", rotate: "ca:update", advance: "ca:update", rollback: "ca:update" },
};

/** `mezite.ca.v1.CaService` on top of the directory of authorities. */
export function caHandlers(
  directory: AuthorityDirectory,
  authorities: CertificateAuthorities,
  rotation: Rotation,
  clusterName: string,
): RpcHandlers<proto.CaServiceService> {
  const statusOf = async (type: AuthorityType): Promise<proto.Authority | undefined> => {
    const status = (await directory.status()).find((each) => each.type === type);
    return status === undefined ? undefined : toMessage(status);
  };
  return {
    getStatus: async () => ({ authorities: (await directory.status()).map(toMessage) }),
    export: async ({ type }) => {
      const { sshPublicKeys, certificatesPem, spiffe } = authorities.trustBundle(fromMessage(type));
      return {
        clusterName,
        sshPublicKeys: [...sshPublicKeys],
        certificatesPem: [...certificatesPem],
        spiffeBundleJson: spiffe?.bundleJson ?? "",
      };
    },
    rotate: async (request, call) => {
      const type = fromMessage(request.type);
      await rotation.begin(type, authorOf(call), request.keyBackend === "" ? null : request.keyBackend);
      return { authority: await statusOf(type) };
    },
    advance: async (request, call) => {
      const type = fromMessage(request.type);
      await rotation.advance({ ...request, type }, authorOf(call));
      return { authority: await statusOf(type) };
    },
    rollback: async (request, call) => {
      const type = fromMessage(request.type);
      await rotation.rollback({ ...request, type }, authorOf(call));
      return { authority: await statusOf(type) };
    },
  };
}

// --- internal ---

function toMessage({ type, keys, laggards, ...authority }: AuthorityStatus): proto.Authority {
  return {
    ...authority,
    type: WIRE_TYPES[type],
    laggards: laggards.map(({ kind, name, reason }) => ({ kind, name, reason })),
    keys: keys.map(({ state, valid, ...key }) => ({
      ...key,
      state: state === "active" ? proto.KeyState.KEY_STATE_ACTIVE : proto.KeyState.KEY_STATE_TRUSTED,
      validCertificates: valid.count,
      lastCertificateExpiresAt: valid.lastExpiresAt ?? undefined,
    })),
  };
}

function fromMessage(type: proto.AuthorityType): AuthorityType {
  const known = authorityTypeOf(type);
  if (known !== null) return known;
  throw new MezError("INVALID_ARGUMENT", `authority type ${type} is unknown; use ${AUTHORITY_TYPES.join(", ")}`);
}

function authorOf({ caller, clientAddress }: CallContext): RotationAuthor {
  return { caller, clientAddress };
}
