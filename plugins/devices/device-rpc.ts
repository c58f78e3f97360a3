import { MezError } from "../../core/errors/error.js";
import { authorOf } from "../../core/plugin/audit-author.js";
import type { CallContext, RpcHandlers, RpcService } from "../../core/plugin/rpc.js";
import { DeviceServiceService } from "../../proto/gen/mezite/devices/v1/devices.js";
import type { DeviceAuthor } from "./device-audit.js";
import { toMessage } from "./device-message.js";
import type { DeviceService } from "./device-service.js";
import type { EnrolmentService } from "./enrolment-service.js";

export const DEVICE_RPC: RpcService<typeof DeviceServiceService> = {
  name: "mezite.devices.v1.DeviceService",
  definition: DeviceServiceService,
  permissions: {
    listDevices: "device:list",
    revokeDevice: "device:update",
    deleteDevice: "device:delete",
    createEnrolmentToken: "device:create",
    beginEnrolment: "device-enrolment:create",
    finishEnrolment: "device-enrolment:create",
  },
};

export interface DeviceRpcParts {
  readonly devices: DeviceService;
  readonly enrolment: EnrolmentService;
  readonly clusterName: string;
}

/** Answers the calls about devices. */
export function deviceHandlers({ devices, enrolment, clusterName }: DeviceRpcParts): RpcHandlers<typeof DeviceServiceService> {
  return {
    async listDevices() {
      return { devices: (await devices.list()).map(toMessage) };
    },
    async revokeDevice({ id }, call) {
      return { device: toMessage(await devices.revoke(id, authorOf(call))) };
    },
    async deleteDevice({ id }, call) {
      return { device: toMessage(await devices.delete(id, authorOf(call))) };
    },
    async createEnrolmentToken({ userName: wanted, ttlSeconds }, call) {
      const userName = wanted === "" ? personOf(call).userName : wanted;
      const { token, expiresAt } = await enrolment.createToken(userName, ttlSeconds, authorOf(call));
      return { token: token.expose(), userName, expiresAt };
    },
    async beginEnrolment({ token, publicKey, tpm }, call) {
      const person = personOf(call);
      const opened = await enrolment.begin(token, { publicKey: Buffer.from(publicKey), tpm: tpm ?? null }, person);
      return { purpose: "enrolment", clusterName, userName: person.userName, sessionId: "", ...opened };
    },
    async finishEnrolment({ challenge, signature, name, activated }, call) {
      return toMessage(await enrolment.finish({ challenge, signature, name, activated }, personOf(call)));
    },
  };
}

// --- internal ---

function personOf(call: CallContext): DeviceAuthor & { readonly userName: string } {
  const { userName, ...author } = authorOf(call);
  if (userName === undefined) throw new MezError("ACCESS_DENIED", "this is for people who have logged in");
  return { ...author, userName };
}
