/** A piece of HTML whose values have been escaped. Made by `html` only. */
export class Html {
  private constructor(readonly text: string) {}

  /** What `html` calls. */
  static of(strings: readonly string[], values: readonly HtmlValue[]): Html {
    return new Html(strings.map((string, index) => string + (index < values.length ? render(values[index]) : "")).join(""));
  }

  toString(): string {
    return this.text;
  }
}

/** Text is escaped, `Html` is not, lists are joined, and nothing at all is printed for `null`, `undefined` and `false`. */
export type HtmlValue = Html | string | number | null | undefined | false | readonly HtmlValue[];

/**
 * Writes HTML: ``html`<p title="${title}">${text}</p>` ``. A value may stand between tags or inside of a **quoted**
 * attribute. Scripts take their data from attributes (`data-…`), never from a value inside of `<script>`.
 */
export function html(strings: TemplateStringsArray, ...values: readonly HtmlValue[]): Html {
  return Html.of(strings, values);
}

// --- internal ---

const ESCAPES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
  "`": "&#96;",
};

function render(value: HtmlValue): string {
  if (value === null || value === undefined || value === false) return "";
  if (value instanceof Html) return value.text;
  if (Array.isArray(value)) return (value as readonly HtmlValue[]).map(render).join("");
  return String(value).replace(/[&<>"'`]/g, (character) => ESCAPES[character] as string);
}
