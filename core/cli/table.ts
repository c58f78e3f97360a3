import { cutToWidth, displayWidth } from "./terminal-text.js";

export interface TableColumn {
  readonly header: string;
  readonly align: "left" | "right";
  readonly shrink: boolean;
}

/**
 * Lays out a table in aligned columns, two spaces apart, without trailing spaces.
 * @param columns Width of the terminal; `undefined` when there is none, and then nothing is cut.
 */
export function layOutTable(
  header: readonly TableColumn[],
  rows: readonly (readonly string[])[],
  columns: number | undefined,
  styleHeader: (line: string) => string,
): string {
  const widths = header.map((column, index) =>
    rows.reduce((most, row) => Math.max(most, displayWidth(row[index]!)), displayWidth(column.header)),
  );
  if (columns !== undefined) shrinkTo(columns, widths, header);
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, index) => pad(cutToWidth(cell, widths[index]!), widths[index]!, header[index]!.align))
      .join(GAP)
      .trimEnd();
  const lines = [styleHeader(line(header.map((column) => column.header))), ...rows.map(line)];
  return `${lines.join("\n")}\n`;
}

/** Lays out one thing as `Header:  value` lines. */
export function layOutRecord(
  entries: readonly (readonly [header: string, value: string])[],
  styleHeader: (text: string) => string,
): string {
  const width = entries.reduce((most, [header]) => Math.max(most, displayWidth(header) + 1), 0);
  return entries
    .map(([header, value]) => `${styleHeader(pad(`${header}:`, width, "left"))}${GAP}${value}`.trimEnd() + "\n")
    .join("");
}

// --- internal ---

const GAP = "  ";
const LEAST_WIDTH = 8;

function shrinkTo(columns: number, widths: number[], header: readonly TableColumn[]): void {
  let excess = widths.reduce((sum, width) => sum + width, 0) + GAP.length * (widths.length - 1) - columns;
  while (excess > 0) {
    let widest = -1;
    for (const [index, column] of header.entries()) {
      if (column.shrink && widths[index]! > LEAST_WIDTH && (widest < 0 || widths[index]! > widths[widest]!)) widest = index;
    }
    if (widest < 0) return;
    widths[widest]!--;
    excess--;
  }
}

function pad(text: string, width: number, align: "left" | "right"): string {
  const space = " ".repeat(Math.max(0, width - displayWidth(text)));
  return align === "right" ? space + text : text + space;
}
