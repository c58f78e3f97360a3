import type { RpcHandlers, RpcService } from "../../core/plugin/rpc.js";
import { Secret } from "../../core/plugin/secret.js";
import { type TraitValues, type User as UserMessage, UserServiceService } from "../../proto/gen/mezite/users/v1/users.js";
import type { User } from "./api.js";
import type { UserService } from "./user-service.js";
import type { TraitMap } from "./user-traits.js";

export const USER_RPC: RpcService<typeof UserServiceService> = {
  name: "mezite.users.v1.UserService",
  definition: UserServiceService,
  permissions: {
    createUser: "user:create",
    listUsers: "user:list",
    getUser: "user:read",
    updateUser: "user:update",
    resetPassword: "user:update",
    deleteUser: "user:delete",
  },
};

/** Answers the calls about users. */
export function userHandlers(users: UserService): RpcHandlers<typeof UserServiceService> {
  return {
    async createUser({ name, roles, internalTraits, password, requireChange }, call) {
      const request = { name, roles, internalTraits: traitsOf(internalTraits), password: secretOf(password), requireChange };
      const { user, oneTimePassword } = await users.create(request, call);
      return { user: toMessage(user), oneTimePassword: oneTimePassword?.expose() ?? "" };
    },
    async listUsers() {
      return { users: (await users.list()).map(toMessage) };
    },
    async getUser({ name }) {
      return toMessage(await users.get(name));
    },
    async updateUser({ name, roles, internalTraits }, call) {
      return toMessage(await users.update(name, { roles: roles?.names ?? null, internalTraits: traitsOf(internalTraits) }, call));
    },
    async resetPassword({ name, password, requireChange }, call) {
      return { oneTimePassword: (await users.resetPassword(name, secretOf(password), requireChange, call))?.expose() ?? "" };
    },
    async deleteUser({ name }, call) {
      await users.delete(name, call);
      return {};
    },
  };
}

// --- internal ---

function secretOf(text: string): Secret | null {
  return text === "" ? null : new Secret(text);
}

function traitsOf(message: Readonly<Record<string, TraitValues>>): TraitMap {
  return Object.fromEntries(Object.entries(message).map(([name, { values }]) => [name, values]));
}

function toMessage({ name, roles, traits, createdAt, updatedAt }: User): UserMessage {
  return {
    name,
    roles: [...roles],
    internalTraits: toTraits(traits.internal),
    externalTraits: toTraits(traits.external),
    createdAt,
    updatedAt,
  };
}

function toTraits(traits: TraitMap): Record<string, TraitValues> {
  return Object.fromEntries(Object.entries(traits).map(([name, values]) => [name, { values: [...values] }]));
}
