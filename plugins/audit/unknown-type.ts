import { nearest } from "../../core/errors/suggestion.js";

/**
 * What to tell whoever asked for events of a type, and nothing was found.
 * @param asked A type, or a prefix that ends with `*`.
 * @param known Every type that something here may write.
 * @returns Empty when there is such a type.
 */
export function unknownTypeNotice(asked: string, known: readonly string[]): string {
  const [isPrefix, word] = [asked.endsWith("*"), asked.replace(/\*$/, "")];
  if (known.some((type) => (isPrefix ? type.startsWith(word) : type === word))) return "";
  const groups = [...new Set(known.map((type) => type.split(".")[0] as string))].sort();
  const near = nearest(word, known) ?? known.find((type) => type.startsWith(`${word}.`));
  const shown = word.replace(/\p{Cc}/gu, "?").slice(0, 64);
  if (near !== undefined)
    return `warning: there is no event type ${shown}; did you mean ${near.startsWith(`${word}.`) ? `${word}.*` : near}?`;
  return `warning: no event type ${isPrefix ? "begins with" : "is called"} ${shown}; they begin with ${groups.join(", ")}`;
}
