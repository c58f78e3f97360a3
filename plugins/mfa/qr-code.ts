/** A QR code as a path of an SVG, each module one unit wide, with the quiet zone around it. */
export interface QrPath {
  /** Width and height of the view box. */
  readonly size: number;
  readonly path: string;
}

export async function qrPath(text: string): Promise<QrPath> {
  const { default: qrcode } = await import("qrcode");
  const { modules } = qrcode.create(text, { errorCorrectionLevel: "M" });
  const pieces: string[] = [];
  for (let row = 0; row < modules.size; row++) {
    for (let column = 0; column < modules.size; column++) {
      if (modules.get(row, column)) pieces.push(`M${column + QUIET} ${row + QUIET}h1v1h-1z`);
    }
  }
  return { size: modules.size + 2 * QUIET, path: pieces.join("") };
}

/**
 * A QR code as lines of block characters, for a terminal.
 * @param coloured Black on white, whatever the terminal's colours are: many apps do not read a code whose colours are swapped.
 */
export async function qrText(text: string, coloured: boolean): Promise<string> {
  const { default: qrcode } = await import("qrcode");
  const drawn = await qrcode.toString(text, { type: "utf8", errorCorrectionLevel: "L" });
  return coloured ? drawn.replace(/^.+$/gm, (line) => `${BLACK_ON_WHITE}${line}${PLAIN}`) : drawn;
}

// --- internal ---

const BLACK_ON_WHITE = "\u001b[38;5;16;48;5;231m";
const PLAIN = "\u001b[0m";

const QUIET = 4; // ISO/IEC 18004, 6.3.8
