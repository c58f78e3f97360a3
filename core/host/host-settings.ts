import type { Config } from "../config/config.js";
import type { Catalog } from "./catalog.js";

/** The plugins that a process may run, and its configuration, which was checked with their manifests. */
export interface HostSettings {
  readonly catalog: Catalog;
  readonly config: Config;
  /** Called when these are the settings that the process runs with. */
  adopted?(): void;
}
