import { execFile } from "node:child_process";

/**
 * The words for stty(1) that bring a new terminal to the modes that the client asked for; empty when it has them.
 * @param modes By their name in RFC 4254, 8. Unknown ones and speeds are left alone.
 */
export function sttyWords(modes: Readonly<Record<string, number>>): readonly string[] {
  const words: string[] = [];
  for (const [name, value] of Object.entries(modes)) {
    const character = CHARACTERS[name];
    if (character !== undefined && value !== character.usual && value <= 255) {
      words.push(character.word, value === 255 || value === 0 ? "undef" : spelled(value));
    }
    const flag = FLAGS[name];
    if (flag !== undefined && (value !== 0) !== flag.usual) words.push(value === 0 ? `-${flag.word}` : flag.word);
  }
  return words;
}

/** Brings a terminal to the modes that the client asked for. What the system does not know is left as it is. */
export async function setTerminalModes(path: string, modes: Readonly<Record<string, number>>): Promise<void> {
  const words = sttyWords(modes);
  if (words.length === 0) return;
  await new Promise<void>((resolve) => {
    execFile("stty", ["-F", path, ...words], { timeout: STTY_MS, env: { PATH: "/usr/bin:/bin" } }, () => resolve());
  });
}

// --- internal ---

const STTY_MS = 5_000;

/** As the kernel makes a terminal. */
const CHARACTERS: Readonly<Record<string, { readonly word: string; readonly usual: number }>> = {
  VINTR: { word: "intr", usual: 3 },
  VQUIT: { word: "quit", usual: 28 },
  VERASE: { word: "erase", usual: 127 },
  VKILL: { word: "kill", usual: 21 },
  VEOF: { word: "eof", usual: 4 },
  VSUSP: { word: "susp", usual: 26 },
};
const FLAGS: Readonly<Record<string, { readonly word: string; readonly usual: boolean }>> = {
  ISTRIP: { word: "istrip", usual: false },
  INLCR: { word: "inlcr", usual: false },
  IGNCR: { word: "igncr", usual: false },
  ICRNL: { word: "icrnl", usual: true },
  IXON: { word: "ixon", usual: true },
  IXANY: { word: "ixany", usual: false },
  ISIG: { word: "isig", usual: true },
  ICANON: { word: "icanon", usual: true },
  ECHO: { word: "echo", usual: true },
  OPOST: { word: "opost", usual: true },
  ONLCR: { word: "onlcr", usual: true },
};

function spelled(value: number): string {
  return `0x${value.toString(16)}`;
}
