import { isMezError, MezError } from "../errors/error.js";
import type { AuditRecord } from "../plugin/audit.js";
import type { Logger } from "../plugin/logger.js";
import type { HostSettings } from "./host-settings.js";
import type { AbsentPackage, PackageLeniency } from "./package-leniency.js";

/** What an operator can do about a package that is not there. */
export const WAY_OUT = 'put it back, or decide anew with "mezctl plugins pin", "add" or "rm"';

/**
 * Lets a process go on with what it began with: packages that it took from their copies, and those that it was without.
 * @param except Id of a plugin that somebody decides on now; it has to be there.
 */
export function leniencyOf({ catalog, absent = [] }: HostSettings, except?: string | null): PackageLeniency {
  const copied = new Set([...catalog.values()].flatMap((entry) => (hasProblem(entry.package) ? [entry.manifest.id] : [])));
  const missing = new Set(absent.map(({ id }) => id));
  return {
    fromCopy: (id) => id !== except && (copied.has(id) || missing.has(id)),
    without: (id) => id !== except && missing.has(id),
  };
}

/** Logs and audits of which packages a process does not run what is there. */
export function recordProblems(
  { catalog, absent = [] }: HostSettings,
  logger: Logger,
  audit: (record: AuditRecord) => void,
): void {
  for (const { manifest, package: origin } of catalog.values()) {
    if (origin?.problem === undefined) continue;
    logger.warn("a plugin runs from the copy of its package", { id: manifest.id, problem: origin.problem, wayOut: WAY_OUT });
    audit(recordOf(manifest.id, origin, origin.problem, "copy"));
  }
  for (const { id, problem, ...origin } of absent) {
    logger.error("this server runs without a plugin", { id, problem, wayOut: WAY_OUT });
    audit(recordOf(id, origin, problem, "nothing"));
  }
}

/** Of a boot that failed: names the packages whose absence may be why. */
export function explainAbsence(error: unknown, absent: readonly AbsentPackage[]): unknown {
  if (absent.length === 0 || !isMezError(error)) return error;
  const why = absent.map(({ problem }) => problem).join("; ");
  const message = `${error.message}; ${why}; put it back, or write "<id>": false for what requires it in plugins.json of the data directory`;
  return new MezError(error.code, message, { cause: error });
}

// --- internal ---

function hasProblem(origin: { readonly problem?: string } | undefined): boolean {
  return origin?.problem !== undefined;
}

function recordOf(
  id: string,
  { from, integrity }: { readonly from: string; readonly integrity: string },
  errorMessage: string,
  runs: "copy" | "nothing",
): AuditRecord {
  return {
    type: "plugin.package.refused",
    resourceType: "plugin",
    resourceName: id,
    success: false,
    errorMessage,
    metadata: { from, integrity, runs },
  };
}
