import type { Config } from "../config/config.js";
import type { Catalog } from "./catalog.js";
import type { AbsentPackage } from "./package-leniency.js";

/** The plugins that a process may run, and its configuration, which was checked with their manifests. */
export interface HostSettings {
  readonly catalog: Catalog;
  readonly config: Config;
  /** Packages that were decided on and are not there. */
  readonly absent?: readonly AbsentPackage[];
  /** Called when these are the settings that the process runs with. */
  adopted?(): void;
}
