/** A block between ``` lines. */
export interface CodeBlock {
  /** The word after the opening fence, e.g. `sh`; empty when there is none. */
  readonly language: string;
  readonly text: string;
  /** Of its first line, from 1. */
  readonly line: number;
}

export interface Link {
  readonly target: string;
  readonly line: number;
}

/** What the documentation's checks need of a Markdown file. */
export interface Markdown {
  readonly blocks: readonly CodeBlock[];
  /** Texts between single backticks, outside of blocks. */
  readonly spans: readonly CodeBlock[];
  readonly links: readonly Link[];
  /** Names that `#…` in a link may have. */
  readonly anchors: ReadonlySet<string>;
}

/** Reads the parts of a Markdown text; knows fences, inline code, links and `#` headings, and no other dialect. */
export function readMarkdown(text: string): Markdown {
  const blocks: CodeBlock[] = [];
  const spans: CodeBlock[] = [];
  const links: Link[] = [];
  const anchors = new Set<string>();
  let open: { language: string; line: number; lines: string[] } | null = null;
  for (const [index, line] of text.split("\n").entries()) {
    const fence = /^\s*```(\w*)/.exec(line);
    if (fence !== null && open === null) open = { language: fence[1] ?? "", line: index + 2, lines: [] };
    else if (fence !== null && open !== null) {
      blocks.push({ language: open.language, line: open.line, text: open.lines.join("\n") });
      open = null;
    } else if (open !== null) open.lines.push(line);
    else {
      for (const [, code = ""] of line.matchAll(/`([^`]+)`/g)) spans.push({ language: "", text: code, line: index + 1 });
      const prose = line.replace(/`[^`]*`/g, "code");
      for (const [, target = ""] of prose.matchAll(/\[[^\]]*\]\(([^)\s]+)\)/g)) links.push({ target, line: index + 1 });
      const heading = /^#{1,6}\s+(.*)$/.exec(line);
      if (heading !== null) anchors.add(anchorOf(heading[1] ?? ""));
    }
  }
  return { blocks, spans, links, anchors };
}

// --- internal ---

/** As code hosting sites make them: lower case, no punctuation, dashes for spaces. */
function anchorOf(heading: string): string {
  return heading
    .trim()
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\s_-]/gu, "")
    .replaceAll(" ", "-");
}
