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
  const titles = header.map((column) => column.header);
  const lines = [titles, ...rows];
  // Measured once: a list may have a hundred thousand cells.
  const taken = new Uint32Array(lines.length * header.length);
  const widths = header.map(() => 0);
  lines.forEach((cells, row) => {
    cells.forEach((text, index) => {
      const width = displayWidth(text);
      taken[row * header.length + index] = width;
      if (width > widths[index]!) widths[index] = width;
    });
  });
  if (columns !== undefined) shrinkTo(columns, widths, header);
  const lineOf = (cells: readonly string[], row: number): string => {
    let line = "";
    cells.forEach((text, index) => {
      const cell = fit(text, taken[row * header.length + index]!, widths[index]!, header[index]!.align);
      line = index === 0 ? cell : `${line}${GAP}${cell}`;
    });
    return line.trimEnd();
  };
  const [first = "", ...body] = lines.map(lineOf);
  return `${[styleHeader(first), ...body].join("\n")}\n`;
}

/** Lays out one thing as `Header:  value` lines. */
export function layOutRecord(
  entries: readonly (readonly [header: string, value: string])[],
  styleHeader: (text: string) => string,
): string {
  const width = entries.reduce((most, [header]) => Math.max(most, displayWidth(header) + 1), 0);
  return entries
    .map(
      ([header, value]) =>
        `${styleHeader(fit(`${header}:`, displayWidth(header) + 1, width, "left"))}${GAP}${value}`.trimEnd() + "\n",
    )
    .join("");
}

// --- internal ---

const GAP = "  ";
const LEAST_WIDTH = 8;

/** @param taken The columns that the text takes. */
function fit(text: string, taken: number, width: number, align: "left" | "right"): string {
  if (taken > width) {
    const cut = cutToWidth(text, width);
    return fit(cut, displayWidth(cut), width, align);
  }
  const space = " ".repeat(width - taken);
  return align === "right" ? space + text : text + space;
}

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
