import { writeFileSync } from "node:fs";
import { arch, cpus, platform, totalmem } from "node:os";
import { type Figure, isReached, withUnit } from "./figure.js";

const HEADERS = ["what", "ours", "against", "figure", "goal", "reached"] as const;

/** The figures as one aligned table. */
export function formatTable(figures: readonly Figure[]): string {
  return formatCells([HEADERS, ...figures.map(cells)]);
}

/** Rows of equal length as one aligned table, the first of them above the others. */
export function formatCells(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

/** Writes the figures and the machine that they were measured on. */
export function writeReport(path: string, figures: readonly Figure[]): void {
  const processors = cpus();
  const report = {
    measuredAt: new Date().toISOString(),
    machine: {
      node: process.version,
      system: `${platform()} ${arch()}`,
      processor: processors[0]?.model ?? "unknown",
      cores: processors.length,
      memoryMib: Math.round(totalmem() / 2 ** 20),
    },
    figures: figures.map((figure) => ({ ...figure, reached: isReached(figure) })),
  };
  writeFileSync(path, `${JSON.stringify(report, null, 2)}\n`);
}

// --- internal ---

function cells(figure: Figure): readonly string[] {
  const { what, ours, against, figure: value, unit, goal, reach } = figure;
  const measured = [what, ours, against ?? "", withUnit(value, unit)];
  if (!Number.isFinite(goal)) return [...measured, "", ""];
  const shown = `${reach === "at most" ? "<=" : ">="} ${unit === "ratio" ? goal.toFixed(2) : withUnit(goal, unit)}`;
  return [...measured, shown, isReached(figure) ? "yes" : "no"];
}
