import { type Figure, isReached, withUnit } from "../figure.js";
import { formatCells } from "../report.js";

/** What was measured with one number of agents. */
export interface Step {
  readonly agents: number;
  readonly figures: readonly Figure[];
}

/** How each figure grows with the agents, and whether the goal is reached with the most of them. */
export function formatGrowth(steps: readonly Step[]): string {
  const names = [...new Set(steps.flatMap(({ figures }) => figures.map(({ what }) => what)))];
  const headers = ["what", ...steps.map(({ agents }) => `${agents.toLocaleString("en")} agents`), "goal", "reached"];
  return formatCells([headers, ...names.map((name) => cellsOf(name, steps))]);
}

// --- internal ---

function cellsOf(name: string, steps: readonly Step[]): readonly string[] {
  const figures = steps.map((step) => step.figures.find(({ what }) => what === name));
  const last = figures.findLast((figure) => figure !== undefined);
  if (last === undefined || !Number.isFinite(last.goal)) return [name, ...figures.map(shown), "", ""];
  const goal = `${last.reach === "at most" ? "<=" : ">="} ${withUnit(last.goal, last.unit)}`;
  return [name, ...figures.map(shown), goal, isReached(last) ? "yes" : "no"];
}

/** A ratio with the medians that it is of. */
function shown(figure: Figure | undefined): string {
  if (figure === undefined) return "";
  const { figure: value, unit, ours, against } = figure;
  return unit === "ratio" && against !== null ? `${withUnit(value, unit)} (${ours}, ${against})` : withUnit(value, unit);
}
