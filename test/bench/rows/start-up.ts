import { fileURLToPath } from "node:url";
import { projectFile } from "../../fixtures/project-file.js";
import { runProgram } from "../client-process.js";
import { absolute, type Row } from "../figure.js";
import { median } from "../statistics.js";

/** The launcher as a person starts it, to its exit. */
export const startUp: Row = {
  name: "start-up",
  summary: "mezctl --help and mezctl users list",
  async measure(bed, { rounds }) {
    const cluster = await bed.cluster();
    const env = cluster.environment();
    const mezctl = fileURLToPath(projectFile("cli/bin/mezctl"));
    const time = async (...args: readonly string[]): Promise<number> => {
      await runProgram(mezctl, args, { env });
      const times: number[] = [];
      for (let round = 0; round < rounds * 2; round += 1) times.push(await runProgram(mezctl, args, { env }));
      return median(times);
    };
    return [
      absolute("mezctl --help", await time("--help"), "ms", 120, "at most"),
      absolute("mezctl users list", await time("users", "list"), "ms", 300, "at most"),
    ];
  },
};
