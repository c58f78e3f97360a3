import type { LabelSelector } from "./api.js";
import { compilePattern, type Pattern } from "./linear-pattern.js";

export type Labels = Readonly<Record<string, string>>;
export type LabelMatcher = (labels: Labels) => boolean;

/**
 * Compiles a selector. An empty one matches nothing, so a role that names no labels grants nothing.
 * @throws {MezError} `INVALID_ARGUMENT` for a regular expression that is not understood.
 */
export function compileSelector(selector: LabelSelector): LabelMatcher {
  const tests = Object.entries(selector)
    .filter(([name]) => name !== ANY)
    .map(([name, values]) => ({ name, test: compileValues(values) }));
  const [only] = tests;
  if (only === undefined) {
    const everything = Object.hasOwn(selector, ANY);
    return () => everything;
  }
  if (tests.length === 1) return (labels) => matches(labels, only.name, only.test);
  return (labels) => tests.every(({ name, test }) => matches(labels, name, test));
}

// --- internal ---

const ANY = "*";
const MAX_VALUE_LENGTH = 1024;
const MAX_REMEMBERED = 1000;

function matches(labels: Labels, name: string, test: Pattern): boolean {
  const value = Object.hasOwn(labels, name) ? labels[name] : undefined;
  return value !== undefined && value.length <= MAX_VALUE_LENGTH && test(value);
}

/** Any of the values is enough. */
function compileValues(values: readonly string[]): Pattern {
  if (values.includes(ANY)) return () => true;
  const exact = new Set(values.filter((value) => !isPattern(value)));
  const patterns = values.filter(isPattern).map(compilePattern);
  if (patterns.length === 0) return (value) => exact.has(value);
  return remembering((value) => exact.has(value) || patterns.some((pattern) => pattern(value)));
}

function isPattern(value: string): boolean {
  return value.startsWith("^");
}

/** Label values repeat over a fleet, so each is run through the patterns once. */
function remembering(test: Pattern): Pattern {
  const results = new Map<string, boolean>();
  return (value) => {
    let result = results.get(value);
    if (result === undefined) {
      result = test(value);
      if (results.size >= MAX_REMEMBERED) results.clear();
      results.set(value, result);
    }
    return result;
  };
}
