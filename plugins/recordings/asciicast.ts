/** What a recording begins with. */
export interface AsciicastHeader {
  readonly width: number;
  readonly height: number;
  readonly startedAt: Date;
  readonly title: string;
  /** `null` for a login shell. */
  readonly command: string | null;
  /** Value of `TERM`, `null` without a terminal. */
  readonly terminal: string | null;
}

/**
 * Writes what a terminal shows as asciicast v2: JSON lines in UTF-8. Characters may be split over calls; bytes that are
 * no UTF-8 become U+FFFD. Without a terminal, line ends are written as a terminal would show them.
 * @see https://docs.asciinema.org/manual/asciicast/v2/
 */
export class AsciicastEncoder {
  readonly #decoder = new TextDecoder("utf-8", { ignoreBOM: true });

  constructor(private readonly head: AsciicastHeader) {}

  /** The first line. */
  header(): string {
    const { width, height, startedAt, title, command, terminal } = this.head;
    const header = {
      version: 2,
      width,
      height,
      timestamp: Math.floor(startedAt.getTime() / 1000),
      ...(command === null ? {} : { command }),
      title,
      ...(terminal === null ? {} : { env: { TERM: terminal } }),
    };
    return `${JSON.stringify(header)}\n`;
  }

  /** The event for `bytes`, shown `elapsedMs` after the beginning; empty when they end within the first character. */
  output(bytes: Uint8Array, elapsedMs: number): string {
    return this.#text(this.#decoder.decode(bytes, { stream: true }), elapsedMs);
  }

  /** A remark of ours among the output. */
  remark(text: string, elapsedMs: number): string {
    return event(elapsedMs, "o", `\r\n[${text}]\r\n`);
  }

  resize(columns: number, rows: number, elapsedMs: number): string {
    return event(elapsedMs, "r", `${columns}x${rows}`);
  }

  /** What is left of a character that never became whole. */
  end(elapsedMs: number): string {
    return this.#text(this.#decoder.decode(), elapsedMs);
  }

  #text(text: string, elapsedMs: number): string {
    if (text === "") return "";
    return event(elapsedMs, "o", this.head.terminal === null ? text.replace(/\r?\n/g, "\r\n") : text);
  }
}

// --- internal ---

function event(elapsedMs: number, code: "o" | "r", data: string): string {
  return `[${Math.round(elapsedMs * 1000) / 1_000_000},"${code}",${JSON.stringify(data)}]\n`;
}
