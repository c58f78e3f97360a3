import type { Column, CommandContext } from "../../core/plugin/commands.js";
import { type JoinToken, TokenServiceService } from "../../proto/gen/mezite/tokens/v1/tokens.js";

export interface CreateTokenInput {
  readonly roles: readonly string[];
  readonly ttl: number;
  readonly name: string | undefined;
}

/** `mezctl tokens create`: the token, and the line to run on the host. */
export async function createToken(context: CommandContext, input: CreateTokenInput): Promise<void> {
  const client = await context.rpc(TokenServiceService);
  const request = { roles: [...input.roles], ttlSeconds: input.ttl, name: input.name ?? "" };
  const { token, secret } = await client.createToken(request, { signal: context.signal });
  if (token === undefined) return;
  const server = typeof context.globals["authServer"] === "string" ? context.globals["authServer"] : "localhost:3025";
  const program = token.roles.includes("node") ? "node" : "proxy";
  await context.output.record(
    { ...token, secret, command: `mezd ${program} --auth-server=${server} --token=${secret}` },
    CREATED_COLUMNS,
  );
}

/** `mezctl tokens list` */
export async function listTokens(context: CommandContext): Promise<void> {
  const client = await context.rpc(TokenServiceService);
  const { tokens } = await client.listTokens({}, { signal: context.signal });
  await context.output.rows(tokens, COLUMNS);
}

/** `mezctl tokens delete` */
export async function deleteToken(context: CommandContext, nameOrId: string): Promise<void> {
  const client = await context.rpc(TokenServiceService);
  const { token } = await client.deleteToken({ nameOrId }, { signal: context.signal });
  context.output.note(`deleted join token ${token?.name || token?.id || nameOrId}`);
}

// --- internal ---

type CreatedToken = JoinToken & { readonly secret: string; readonly command: string };

const ROLES: Column<JoinToken> = { key: "roles", header: "ROLES", value: (token) => token.roles };
const EXPIRES: Column<JoinToken> = { key: "expiresAt", header: "EXPIRES", value: (token) => token.expiresAt };

const COLUMNS: readonly Column<JoinToken>[] = [
  { key: "id", header: "ID", value: (token) => token.id },
  { key: "name", header: "NAME", value: (token) => token.name, shrink: true },
  ROLES,
  { key: "createdBy", header: "CREATED BY", value: (token) => token.createdBy, shrink: true },
  EXPIRES,
];

const CREATED_COLUMNS: readonly Column<CreatedToken>[] = [
  { key: "token", header: "TOKEN", value: (token) => token.secret },
  { key: "id", header: "ID", value: (token) => token.id },
  { key: "name", header: "NAME", value: (token) => token.name },
  ROLES,
  EXPIRES,
  { key: "command", header: "RUN ON THE HOST", value: (token) => token.command },
];
