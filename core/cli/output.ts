import { styleText } from "node:util";
import type { CellValue, Column, CommandOutput, OutputStream } from "../plugin/commands.js";
import { layOutRecord, layOutTable } from "./table.js";
import { escapeControls, escapeControlsInQuotes, hasControls } from "./terminal-text.js";

export type OutputFormat = CommandOutput["format"];

export interface OutputStreams {
  readonly stdout: OutputStream;
  readonly stderr: OutputStream;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** Prints results as table, JSON or YAML from one definition of columns. */
export class Output implements CommandOutput {
  constructor(
    readonly format: OutputFormat,
    private readonly streams: OutputStreams,
  ) {}

  async rows<Row>(rows: readonly Row[], columns: readonly Column<Row>[]): Promise<void> {
    if (this.format !== "table") return this.#print(rows.map((row) => plainObject(row, columns)));
    const header = columns.map(({ header, align = "left", shrink = false }) => ({ header: header.toUpperCase(), align, shrink }));
    const cells = rows.map((row) => columns.map((column) => cellText(column.value(row))));
    await write(this.streams.stdout, layOutTable(header, cells, this.#columns(), this.#styleHeader));
  }

  async record<Row>(row: Row, columns: readonly Column<Row>[]): Promise<void> {
    if (this.format !== "table") return this.#print(plainObject(row, columns));
    const entries = columns.map((column) => [inSentenceCase(column.header), cellText(column.value(row))] as const);
    await write(this.streams.stdout, layOutRecord(entries, this.#styleHeader));
  }

  note(text: string): void {
    this.streams.stderr.write(`${text.split("\n").map(escapeControls).join("\n")}\n`);
  }

  readonly #styleHeader = (text: string): string =>
    mayColour(this.streams.stdout, this.streams.env) ? styleText("bold", text, { validateStream: false }) : text;

  #columns(): number | undefined {
    return this.streams.stdout.isTTY === true ? this.streams.stdout.columns : undefined;
  }

  async #print(value: unknown): Promise<void> {
    const text = this.format === "json" ? `${escapeControlsInQuotes(JSON.stringify(value, null, 2))}\n` : await yamlText(value);
    await write(this.streams.stdout, text);
  }
}

/** Whether colours are wanted: on a terminal, unless `NO_COLOR` (https://no-color.org) or `TERM=dumb` says otherwise. */
export function mayColour(stream: OutputStream, env: Readonly<Record<string, string | undefined>>): boolean {
  return stream.isTTY === true && (env["NO_COLOR"] ?? "") === "" && env["TERM"] !== "dumb";
}

/** Writes and waits until the stream has taken it. Rejects with the system's error: `EPIPE`, `ENOSPC`. */
export function write(stream: OutputStream, text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    stream.write(text, (error) => (error ? reject(error) : resolve()));
  });
}

/** One value as a table cell: times in UTC, lists as `a,b`, labels as `k=v`, `-` for nothing. */
export function cellText(value: CellValue): string {
  if (value === null || value === undefined || value === "") return "-";
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? "-" : `${value.toISOString().slice(0, -5)}Z`;
  if (typeof value !== "object") return escapeControls(String(value));
  const parts = isList(value) ? value : Object.entries(value).map(([key, text]) => `${key}=${text}`);
  return parts.length === 0 ? "-" : escapeControls(parts.join(","));
}

// --- internal ---

const ACRONYMS = /\b(ca|id|ip|jwt|rpc|spiffe|ssh|ttl)\b/gi;

/** `LAST SEEN` and `last seen` as `Last seen`, `CA FINGERPRINT` as `CA fingerprint`. */
function inSentenceCase(header: string): string {
  const lower = header.toLowerCase().replace(ACRONYMS, (word) => word.toUpperCase());
  return `${lower.charAt(0).toUpperCase()}${lower.slice(1)}`;
}

function plainObject<Row>(row: Row, columns: readonly Column<Row>[]): Record<string, unknown> {
  return Object.fromEntries(
    columns.map((column) => [snakeCase(column.key), (column.json === undefined ? column.value(row) : column.json(row)) ?? null]),
  );
}

async function yamlText(value: unknown): Promise<string> {
  const { Document, Scalar, visit } = await import("yaml");
  // Through JSON, so that dates and anything with toJSON (a Secret) read the same in both formats.
  const document = new Document(JSON.parse(JSON.stringify(value)));
  visit(document, {
    Scalar(_, scalar) {
      if (typeof scalar.value === "string" && hasControls(scalar.value)) scalar.type = Scalar.QUOTE_DOUBLE;
    },
  });
  return escapeControlsInQuotes(document.toString({ lineWidth: 0 }));
}

function snakeCase(key: string): string {
  return key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

function isList(value: readonly string[] | Readonly<Record<string, string>>): value is readonly string[] {
  return Array.isArray(value);
}
