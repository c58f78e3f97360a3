import { type Html, html } from "./html.js";

/** Where the one style sheet of all pages is served. */
export const STYLE_SHEET_PATH = "/assets/mezite.css";

export interface WebPage {
  /** Also the heading. */
  readonly title: string;
  readonly content: Html;
  /** Paths on this server of scripts, run as modules after the page is there. */
  readonly scripts?: readonly string[];
}

/**
 * A whole page in the common dress: light or dark as the person's system is, readable without style sheet and script.
 * Style and scripts are files of this server: the answer's policy allows no inline handlers and no `style` attributes.
 */
export function webPage({ title, content, scripts = [] }: WebPage): Html {
  return html`<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <meta name="color-scheme" content="light dark">
    <meta name="robots" content="noindex">
    <title>${title} · Mezite</title>
    <link rel="stylesheet" href="${STYLE_SHEET_PATH}">
    <link rel="icon" href="data:,">
    ${scripts.map((path) => html`<script type="module" src="${path}"></script>`)}
  </head>
  <body>
    <a class="skip" href="#content">Skip to content</a>
    <header><p>Mezite</p></header>
    <main id="content" tabindex="-1">
      <h1>${title}</h1>
      ${content}
    </main>
  </body>
</html>
`;
}
