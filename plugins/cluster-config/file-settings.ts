import type { Lifecycle, PortView } from "../../core/plugin/contract.js";
import type { Logger } from "../../core/plugin/logger.js";
import type { DeclaredSetting } from "../../core/ports/cluster-setting.js";
import { requireAllowedFile } from "./setting-state.js";

/** Looks at what the config file of this process says of settings, once, at the start. */
export class FileSettings implements Lifecycle {
  constructor(
    private readonly declared: Pick<PortView<DeclaredSetting>, "all">,
    private readonly isAuth: boolean,
    private readonly logger: Logger,
  ) {}

  /** @throws {MezError} `CONFIG_INVALID` */
  async start(): Promise<void> {
    for (const declared of this.declared.all()) {
      requireAllowedFile(declared);
      const { setting, file } = declared;
      if (this.isAuth || file === null || file.value === setting.default) continue;
      this.logger.warn(`${file.key} in the file of this process has no effect; the auth service decides ${setting.key}`);
    }
  }
}
