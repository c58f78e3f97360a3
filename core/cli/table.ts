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
  const titles = header.map((column) => measured(column.header));
  const body = rows.map((row) => row.map(measured));
  const widths = titles.map(({ width }, index) => body.reduce((most, cells) => Math.max(most, cells[index]!.width), width));
  if (columns !== undefined) shrinkTo(columns, widths, header);
  const line = (cells: readonly Cell[]): string =>
    cells
      .map((cell, index) => fit(cell, widths[index]!, header[index]!.align))
      .join(GAP)
      .trimEnd();
  return `${[styleHeader(line(titles)), ...body.map(line)].join("\n")}\n`;
}

/** Lays out one thing as `Header:  value` lines. */
export function layOutRecord(
  entries: readonly (readonly [header: string, value: string])[],
  styleHeader: (text: string) => string,
): string {
  const width = entries.reduce((most, [header]) => Math.max(most, displayWidth(header) + 1), 0);
  return entries
    .map(([header, value]) => `${styleHeader(pad(measured(`${header}:`), width, "left"))}${GAP}${value}`.trimEnd() + "\n")
    .join("");
}

// --- internal ---

const GAP = "  ";
const LEAST_WIDTH = 8;

/** A text and the columns that it takes, measured once: a list may have a hundred thousand cells. */
interface Cell {
  readonly text: string;
  readonly width: number;
}

function measured(text: string): Cell {
  return { text, width: displayWidth(text) };
}

function fit(cell: Cell, width: number, align: "left" | "right"): string {
  if (cell.width > width) return pad(measured(cutToWidth(cell.text, width)), width, align);
  return pad(cell, width, align);
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

function pad({ text, width: taken }: Cell, width: number, align: "left" | "right"): string {
  const space = " ".repeat(Math.max(0, width - taken));
  return align === "right" ? space + text : text + space;
}
