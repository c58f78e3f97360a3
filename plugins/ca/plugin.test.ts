import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { collectDeclarations } from "../../core/host/declarations.js";
import { COLLECTIONS } from "../../core/plugin/collection.js";
import type { Plugin, Port, PortView, Resolve, ServiceToken } from "../../core/plugin/contract.js";
import { DATABASE } from "../../core/plugin/database.js";
import { LOGGER } from "../../core/plugin/logger.js";
import type { Manifest } from "../../core/plugin/manifest.js";
import { CLOCK, PROCESS } from "../../core/plugin/process.js";
import { systemClock } from "../../core/time/clock.js";
import { openTestDatabase } from "../../test/fixtures/database.js";
import { silentLogger } from "../../test/fixtures/silent-logger.js";
import software from "../keys/software/plugin.js";
import softwareManifest from "../keys/software/plugin.json" with { type: "json" };
import { CERTIFICATE_AUTHORITIES, type CertificateAuthorities } from "./api.js";
import ca from "./plugin.js";
import caManifest from "./plugin.json" with { type: "json" };

const ROLES = new Set(["auth"] as const);

test("starts over software keys, and has the same authorities after a restart", async (t) => {
  const folder = await mkdtemp(join(tmpdir(), "mezite-ca-"));
  t.after(() => rm(folder, { recursive: true }));
  const first = declare();
  const opened = await openTestDatabase({ entities: first.entities, migrations: first.migrations });
  t.after(() => opened.close());
  const services = new Map<string, unknown>([
    [DATABASE.id, opened.database],
    [CLOCK.id, systemClock],
    [LOGGER.id, silentLogger],
    [
      PROCESS.id,
      { clusterName: "prod", version: "0.1.0", roles: ROLES, dataDirectory: folder, authAddresses: [], joinToken: null },
    ],
    [COLLECTIONS.id, { of: () => ({ get: () => undefined, onChange: () => () => undefined }) }],
  ]);
  const bundles = [];
  for (const generation of [first, declare()]) {
    const authorities = await generation.start(services);
    bundles.push([authorities.trustBundle("user"), authorities.trustBundle("host")]);
    await generation.dispose();
  }
  assert.deepEqual(bundles[0], bundles[1]);
});

// --- internal ---

/** Both plugins as the host would register them; a difference to a manifest throws. */
function declare() {
  const keys = collectDeclarations(software as Plugin<never>, softwareManifest as Manifest, ROLES, {});
  const authority = collectDeclarations(ca as Plugin<never>, caManifest as Manifest, ROLES, { key_backend: "software" });
  const disposers: (() => Promise<void>)[] = [];
  return {
    entities: [...keys.entities, ...authority.entities],
    migrations: [...keys.migrations, ...authority.migrations],
    async start(services: ReadonlyMap<string, unknown>): Promise<CertificateAuthorities> {
      const resolve = resolveFrom(services, (of) => keys.implementations[0]?.factory(of));
      for (const lifecycle of [...keys.lifecycles, ...authority.lifecycles].map((factory) => factory(resolve))) {
        disposers.unshift(async () => lifecycle.dispose?.());
        await lifecycle.start?.();
      }
      const provided = authority.services.find(({ token }) => token.id === CERTIFICATE_AUTHORITIES.id);
      return provided?.factory(resolve) as CertificateAuthorities;
    },
    async dispose(): Promise<void> {
      for (const dispose of disposers) await dispose();
    },
  };
}

function resolveFrom(services: ReadonlyMap<string, unknown>, backend: (resolve: Resolve) => unknown): Resolve {
  const lookUp = <T>(token: ServiceToken<T>): T => services.get(token.id) as T;
  const resolve: Resolve = Object.assign(lookUp, {
    late: () => () => null,
    optional: <T>(token: ServiceToken<T>): T | null => (services.get(token.id) as T | undefined) ?? null,
    port: <T>(_port: Port<T>): PortView<T> => {
      const only = backend(resolve) as T;
      return { names: () => ["software"], get: () => only, all: () => [only] };
    },
    latePort: <T>(port: Port<T>) => ({ ...resolve.port(port), onChange: () => () => {} }),
  });
  return resolve;
}
