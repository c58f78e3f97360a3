/** What a key does to a recording that is being played. */
export type PlayerAction =
  | { readonly kind: "pause" | "step" | "quit" | "interrupt" }
  /** Forward, or back when negative. */
  | { readonly kind: "seek"; readonly seconds: number }
  | { readonly kind: "speed"; readonly factor: number };

/** For the person, in one line. */
export const PLAYER_KEYS = "space pauses, . steps, arrows seek 5 s or 1 min, + and - change the speed, q quits";

/**
 * Reads keys as a terminal in raw mode sends them. What means nothing here is passed over, with all of its escape
 * sequence: terminals also answer questions that a recording asks them.
 */
export function parseKeys(input: string): readonly PlayerAction[] {
  return (input.match(KEY) ?? []).map((key) => ACTIONS.get(key)).filter((action) => action !== undefined);
}

// --- internal ---

const ESC = "\u001b";
const KEY = new RegExp(`${ESC}\\[[0-?]*[ -/]*[@-~]|${ESC}O.|${ESC}[\\]P_^X][^\u0007${ESC}]*(?:\u0007|${ESC}\\\\)|[^]`, "g");

const ACTIONS: ReadonlyMap<string, PlayerAction> = new Map<string, PlayerAction>([
  [" ", { kind: "pause" }],
  [".", { kind: "step" }],
  ["q", { kind: "quit" }],
  ["\u0003", { kind: "interrupt" }],
  ...arrow("C", 5),
  ...arrow("D", -5),
  ...arrow("A", 60),
  ...arrow("B", -60),
  ["+", { kind: "speed", factor: 1.5 }],
  ["=", { kind: "speed", factor: 1.5 }],
  ["-", { kind: "speed", factor: 1 / 1.5 }],
]);

/** Terminals send an arrow in one of two forms, by their mode. */
function arrow(letter: string, seconds: number): [string, PlayerAction][] {
  return [`${ESC}[${letter}`, `${ESC}O${letter}`].map((key) => [key, { kind: "seek", seconds }]);
}
