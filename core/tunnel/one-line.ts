const MAX_CHARACTERS = 1_000;

/** A text as a terminal may print it: no control characters, none that change the direction of writing, at most 1,000 characters. */
export function oneLine(text: string): string {
  if (text === "") return ""; // as most are: what follows takes longer to compile than ssh's helper takes for a handshake
  return text
    .slice(0, MAX_CHARACTERS)
    .toWellFormed()
    .replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu, " ")
    .trim();
}
