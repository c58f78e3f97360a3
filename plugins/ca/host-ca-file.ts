import { renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Collection } from "../../core/plugin/collection.js";
import type { Lifecycle } from "../../core/plugin/contract.js";
import type { TrustBundle } from "./api.js";

const FILE = "host-ca.pem"; // where programs on this machine look for it: core/rpc/trust.ts

/** Keeps the Host CA's certificates in a file of the data directory, so that programs on this machine find them by themselves. */
export class HostCaFile implements Lifecycle {
  #unlisten: () => void = () => {};

  constructor(
    private readonly dataDirectory: string,
    private readonly keys: Collection<TrustBundle>,
  ) {}

  async start(): Promise<void> {
    this.#write(this.keys.get("host"));
    this.#unlisten = this.keys.onChange((type, bundle) => type === "host" && this.#write(bundle));
  }

  async dispose(): Promise<void> {
    this.#unlisten();
  }

  #write(bundle: TrustBundle | undefined): void {
    if (bundle === undefined) return;
    const file = join(this.dataDirectory, FILE);
    writeFileSync(`${file}.new`, bundle.certificatesPem.join(""), { mode: 0o644 });
    renameSync(`${file}.new`, file);
  }
}
