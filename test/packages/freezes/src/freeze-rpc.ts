import { type CallContext, field, message, type RpcHandlers, rpcService } from "mezite/plugin";
import type { Author, FreezeService } from "./freeze-service.js";

const Freeze = message("Freeze", {
  id: field.string(1),
  node: field.string(2),
  reason: field.string(3),
  createdBy: field.string(4),
  createdAt: field.time(5),
  expiresAt: field.time(6),
});
const CreateFreezeRequest = message("CreateFreezeRequest", {
  node: field.string(1),
  reason: field.string(2),
  ttlSeconds: field.integer(3),
});
const CreateFreezeResponse = message("CreateFreezeResponse", { freeze: field.message(1, Freeze) });
const ListFreezesRequest = message("ListFreezesRequest", {});
const ListFreezesResponse = message("ListFreezesResponse", { freezes: field.messages(1, Freeze) });
const LiftFreezeRequest = message("LiftFreezeRequest", { id: field.string(1) });
const LiftFreezeResponse = message("LiftFreezeResponse", {});

export const FREEZE_RPC = rpcService("acme.freezes.v1.FreezeService", {
  createFreeze: { request: CreateFreezeRequest, response: CreateFreezeResponse, permission: "freeze:create" },
  listFreezes: { request: ListFreezesRequest, response: ListFreezesResponse, permission: "freeze:list" },
  liftFreeze: { request: LiftFreezeRequest, response: LiftFreezeResponse, permission: "freeze:delete" },
});

export function freezeHandlers(freezes: FreezeService): RpcHandlers<typeof FREEZE_RPC.definition> {
  return {
    createFreeze: async (request, call) => ({ freeze: await freezes.create(request, authorOf(call)) }),
    listFreezes: async () => ({ freezes: await freezes.list() }),
    liftFreeze: async ({ id }, call) => {
      await freezes.lift(id, authorOf(call));
      return {};
    },
  };
}

function authorOf({ caller, clientAddress: address }: CallContext): Author {
  return { name: caller.kind === "anonymous" ? "" : caller.name, address };
}
