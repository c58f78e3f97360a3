import qrcode from "qrcode";

/** A QR code as a path of an SVG, each module one unit wide, with the quiet zone around it. */
export interface QrPath {
  /** Width and height of the view box. */
  readonly size: number;
  readonly path: string;
}

export function qrPath(text: string): QrPath {
  const { modules } = qrcode.create(text, { errorCorrectionLevel: "M" });
  const pieces: string[] = [];
  for (let row = 0; row < modules.size; row++) {
    for (let column = 0; column < modules.size; column++) {
      if (modules.get(row, column)) pieces.push(`M${column + QUIET} ${row + QUIET}h1v1h-1z`);
    }
  }
  return { size: modules.size + 2 * QUIET, path: pieces.join("") };
}

// --- internal ---

const QUIET = 4; // ISO/IEC 18004, 6.3.8
