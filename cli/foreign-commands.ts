import { existsSync } from "node:fs";
import { join } from "node:path";

/** In `~/.mezite`: names the packages of this machine that bring commands. */
export const LOCAL_COMMANDS_FILE = "mezctl.yaml";

/** In `~/.mezite`: what servers said of commands that this build does not have. */
export const DESCRIPTIONS_FOLDER = "plugins";

/** Whether servers have described commands. */
export function hasDescriptions(meziteFolder: string): boolean {
  return existsSync(join(meziteFolder, DESCRIPTIONS_FOLDER));
}

/** Whether anything is there to read. Most people have neither, and what reads them takes longer to load than all else that help needs. */
export function mayKnowForeignCommands(meziteFolder: string): boolean {
  return [LOCAL_COMMANDS_FILE, DESCRIPTIONS_FOLDER].some((name) => existsSync(join(meziteFolder, name)));
}
