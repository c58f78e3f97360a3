import type { Finding } from "./import-rules.js";

const MAX_LINES = 400;
const SOURCE = /\.(ts|mjs|cjs|js)$/;
const TEXT = /(\.(ts|mjs|cjs|js|json|ya?ml|md|sh|proto)|^\.ci\/run|^\.npmrc|^cli\/bin\/[a-z]+)$/;

interface Pattern {
  readonly text: RegExp;
  readonly message: string;
  readonly in: RegExp;
}

const PATTERNS: readonly Pattern[] = [
  {
    text: /\b(?:test|it|describe|suite)\.only\(|\bonly: true/,
    message: "a test that runs alone keeps all others from running",
    in: SOURCE,
  },
  { text: /(?<!\breader)\.skip\(|\bskip: true/, message: "a skipped test; say why with needsPeers() or delete it", in: SOURCE },
  { text: /\.todo\(/, message: "a test that is not written yet", in: SOURCE },
  { text: /\b(?:TO[D]O|FIXM[E])\b/, message: "unfinished work; do it, or write an issue", in: TEXT },
  { text: /(?<![\w./}-])\/(?:work|tmp\/mz)\//, message: "a path of one machine", in: TEXT },
  { text: /@ts-(?:ignore|nocheck|expect-error)|biome-ignor[e]/, message: "a check switched off; mend what it found", in: SOURCE },
  {
    text: /["`'].*(?:(?<![.\w#])now\(\)|\b(?:current_(?:timestamp|date|time)|clock_timestamp|localtimestamp|strftime|unixepoch)\b)/i,
    message: "SQL that asks the database for the time; pass the time of this process",
    in: /^(?:core|plugins)\/.*(?<!\.test)\.ts$/,
  },
  { text: /^\s*"resolved": "http/, message: "the lock file names a registry; see .npmrc", in: /(^|\/)package-lock\.json$/ },
];

/** Checks one file for what a commit must not hold: lone or skipped tests, unfinished work, paths of a machine, great length. */
export function checkFile(file: string, text: string): Finding[] {
  if (isGenerated(file)) return [];
  const lines = text.split("\n");
  const findings = PATTERNS.filter((pattern) => pattern.in.test(file)).flatMap((pattern) =>
    lines.flatMap((line, index): Finding[] =>
      pattern.text.test(line) ? [{ file, line: index + 1, message: pattern.message }] : [],
    ),
  );
  const length = lines.at(-1) === "" ? lines.length - 1 : lines.length;
  if (!SOURCE.test(file) || length <= MAX_LINES) return findings;
  return [...findings, { file, line: 0, message: `has ${length} lines; split it by its nouns, ${MAX_LINES} is the most` }];
}

/** Tells whether a program wrote the file. */
export function isGenerated(file: string): boolean {
  return file.startsWith("proto/gen/");
}
