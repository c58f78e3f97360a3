import { MezError, messageOf } from "../errors/error.js";
import type { CollectionKind, CollectionSource } from "../plugin/collection.js";
import type { EventType, Factory, Lifecycle, Plugin, Port, ProcessRole, Registrar, ServiceToken } from "../plugin/contract.js";
import type { Entities, Migrations } from "../plugin/database.js";
import { activeIn, type Manifest } from "../plugin/manifest.js";
import type { RpcDefinition, RpcHandlers, RpcService } from "../plugin/rpc.js";
import type { WebHandlers, WebRoutes } from "../plugin/web.js";
import { routeName } from "../web/route-table.js";
import { checkDescribedCommands } from "./described-commands.js";

export interface RpcDeclaration {
  readonly service: RpcService<RpcDefinition>;
  readonly handlers: Factory<RpcHandlers<RpcDefinition>>;
}

export interface WebDeclaration {
  readonly routes: WebRoutes;
  readonly handlers: Factory<WebHandlers<WebRoutes>>;
}

export interface SubscriberDeclaration {
  readonly event: EventType<unknown>;
  readonly subscriber: Factory<(event: unknown) => Promise<void>>;
  readonly everyServer: boolean;
  readonly missed: Factory<() => void> | null;
}

/** What a plugin's `register` said, before anything is built. */
export interface Declarations {
  readonly services: { readonly token: ServiceToken<unknown>; readonly factory: Factory<unknown> }[];
  readonly implementations: { readonly port: Port<unknown>; readonly name: string; readonly factory: Factory<unknown> }[];
  readonly rpc: RpcDeclaration[];
  readonly web: WebDeclaration[];
  readonly collections: { readonly kind: CollectionKind<unknown>; readonly source: Factory<CollectionSource<unknown>> }[];
  readonly subscribers: SubscriberDeclaration[];
  readonly lifecycles: Factory<Lifecycle>[];
  readonly entities: Entities[number][];
  readonly migrations: Migrations[number][];
}

/**
 * Runs `register` and refuses what the manifest does not say, and what it says but `register` did not do.
 * @throws {MezError} `PLUGIN_REGISTER_FAILED` with the plugin's own error as cause; `PLUGIN_MANIFEST_MISMATCH`.
 */
export function collectDeclarations(
  plugin: Plugin<never>,
  manifest: Manifest,
  roles: ReadonlySet<ProcessRole>,
  config: unknown,
): Declarations {
  const declarations: Declarations = {
    services: [],
    implementations: [],
    rpc: [],
    web: [],
    collections: [],
    subscribers: [],
    lifecycles: [],
    entities: [],
    migrations: [],
  };
  try {
    plugin.register(registrarFor(declarations, roles), config as never);
  } catch (cause) {
    throw new MezError("PLUGIN_REGISTER_FAILED", `registering plugin "${manifest.id}": ${messageOf(cause)}`, { cause });
  }
  compare(manifest, roles, declarations);
  if (roles.has("auth")) checkDescribedCommands(manifest, descriptorsOf(declarations));
  return declarations;
}

/** The descriptors that the plugin's services bring along. */
export function descriptorsOf({ rpc }: Declarations): readonly Uint8Array[] {
  return rpc.flatMap(({ service }) => service.descriptor ?? []);
}

// --- internal ---

function registrarFor(into: Declarations, roles: ReadonlySet<ProcessRole>): Registrar {
  return {
    roles,
    provide: (token, factory) => void into.services.push({ token, factory }),
    implement: (port, name, factory) => void into.implementations.push({ port, name, factory }),
    rpc: (service, handlers) => void into.rpc.push({ service, handlers } as unknown as RpcDeclaration),
    web: (routes, handlers) => void into.web.push({ routes, handlers }),
    store: (entities, migrations) => {
      into.entities.push(...entities);
      into.migrations.push(...migrations);
    },
    publish: (kind, source) => void into.collections.push({ kind, source } as unknown as Declarations["collections"][number]),
    on: (event, subscriber, { everyServer = false, missed = null } = {}) =>
      void into.subscribers.push({ event, subscriber: subscriber as SubscriberDeclaration["subscriber"], everyServer, missed }),
    run: (factory) => void into.lifecycles.push(factory),
  };
}

function compare(manifest: Manifest, roles: ReadonlySet<ProcessRole>, declarations: Declarations): void {
  const contributes = roles.has("auth") ? manifest.contributes : undefined;
  const lists: readonly (readonly [what: string, declared: readonly string[], done: readonly string[]])[] = [
    [
      "provides",
      activeIn(manifest.provides, roles).map(({ service, version }) => `${service}@${version}`),
      declarations.services.map(({ token }) => `${token.id}@${token.version}`),
    ],
    [
      "implements",
      activeIn(manifest.implements, roles).map(({ port, name }) => `${port}/${name}`),
      declarations.implementations.map(({ port, name }) => `${port.id}/${name}`),
    ],
    ["contributes.rpc", contributes?.rpc ?? [], declarations.rpc.map(({ service }) => service.name)],
    [
      "contributes.webRoutes",
      roles.has("proxy") ? (manifest.contributes?.webRoutes ?? []) : [],
      declarations.web.flatMap(({ routes }) => Object.values(routes).map(routeName)),
    ],
    ["contributes.collections", contributes?.collections ?? [], declarations.collections.map(({ kind }) => kind.name)],
    ["contributes.tables", contributes?.tables ?? [], declarations.entities.map((entity) => entity.meta.tableName)],
  ];
  for (const [what, declared, done] of lists) {
    for (const name of declared)
      if (!done.includes(name)) throw mismatch(manifest, `${what} names "${name}", which register() does not`);
    for (const name of done)
      if (!declared.includes(name)) throw mismatch(manifest, `register() adds "${name}", which ${what} does not name`);
    if (new Set(done).size !== done.length)
      throw mismatch(manifest, `register() adds something twice under ${what}: ${done.join(", ")}`);
  }
  const permissions = new Set((manifest.contributes?.permissions ?? []).map(({ permission }) => permission));
  for (const { service } of declarations.rpc) {
    for (const method of Object.keys(service.definition)) {
      const rule = service.permissions[method];
      if (rule === undefined) throw mismatch(manifest, `method ${service.name}/${method} has no permission rule`);
      if (rule !== "public" && !permissions.has(rule))
        throw mismatch(
          manifest,
          `method ${service.name}/${method} asks for permission "${rule}", which the manifest does not introduce`,
        );
    }
  }
}

function mismatch(manifest: Manifest, why: string): MezError {
  return new MezError("PLUGIN_MANIFEST_MISMATCH", `plugin "${manifest.id}" is not what its manifest says: ${why}`);
}
