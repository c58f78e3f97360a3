import { type CharacterTest, codeOf, readPattern, refusedPattern, type Tree } from "./pattern-syntax.js";

/** Tells whether a whole text matches. Never longer than (size of the pattern) × (length of the text) steps. */
export type Pattern = (text: string) => boolean;

/**
 * Compiles a regular expression `^…$` that is sure to run in linear time: the set of possible states is followed through the
 * text once, so there is no backtracking that a role's author could make explode in every proxy and node.
 *
 * Understood: literals, `.`, `[a-z]`, `[^…]`, `\d \w \s` and their opposites, `( )`, `(?: )`, `|`, `*`, `+`, `?`, `{m}`, `{m,}`,
 * `{m,n}`. Look-around, back references and anchors inside are refused.
 * @throws {MezError} `INVALID_ARGUMENT` saying what is not understood and where.
 * @see Thompson, "Regular Expression Search Algorithm", CACM 11 (1968)
 */
export function compilePattern(source: string): Pattern {
  const program: Step[] = [];
  emit(readPattern(source), program, source);
  program.push({ kind: "match" });
  return (text) => run(program, text);
}

// --- internal ---

const MAX_STEPS = 2000; // x{1000} inside y{1000} must not become a million steps

type Step =
  | { readonly kind: "character"; readonly test: CharacterTest }
  | { readonly kind: "match" }
  | { kind: "jump"; to: number }
  | { kind: "fork"; first: number; second: number };

/** Writes `tree` as steps, with repetitions unrolled. */
function emit(tree: Tree, program: Step[], source: string): void {
  if (program.length > MAX_STEPS) throw refusedPattern(source, "is too large once its repetitions are written out");
  switch (tree.kind) {
    case "character":
      program.push(tree);
      return;
    case "sequence":
      for (const part of tree.parts) emit(part, program, source);
      return;
    case "choice": {
      const jumps: { kind: "jump"; to: number }[] = [];
      for (const [index, branch] of tree.branches.entries()) {
        if (index === tree.branches.length - 1) {
          emit(branch, program, source);
          break;
        }
        const fork = { kind: "fork" as const, first: program.length + 1, second: 0 };
        program.push(fork);
        emit(branch, program, source);
        const jump = { kind: "jump" as const, to: 0 };
        jumps.push(jump);
        program.push(jump);
        fork.second = program.length;
      }
      for (const jump of jumps) jump.to = program.length;
      return;
    }
    case "repeat":
      for (let count = 0; count < tree.min; count++) {
        const start = program.length;
        emit(tree.part, program, source);
        if (program.length === start) return; // an empty group, however often
      }
      if (tree.max === Number.POSITIVE_INFINITY) {
        const fork = { kind: "fork" as const, first: program.length + 1, second: 0 };
        const start = program.length;
        program.push(fork);
        emit(tree.part, program, source);
        program.push({ kind: "jump", to: start });
        fork.second = program.length;
        return;
      }
      for (let count = tree.min; count < tree.max; count++) {
        const fork = { kind: "fork" as const, first: program.length + 1, second: 0 };
        program.push(fork);
        emit(tree.part, program, source);
        fork.second = program.length;
      }
  }
}

function run(program: readonly Step[], text: string): boolean {
  let current = closure(program, [0]);
  for (const character of text) {
    const code = codeOf(character);
    const next: number[] = [];
    for (const at of current) {
      const step = program[at]!;
      if (step.kind === "character" && step.test(code)) next.push(at + 1);
    }
    if (next.length === 0) return false;
    current = closure(program, next);
  }
  return current.has(program.length - 1);
}

/** Every step that is reached from `starts` without reading a character. */
function closure(program: readonly Step[], starts: readonly number[]): Set<number> {
  const reached = new Set<number>();
  const open = [...starts];
  for (let at = open.pop(); at !== undefined; at = open.pop()) {
    if (reached.has(at)) continue;
    reached.add(at);
    const step = program[at]!;
    if (step.kind === "jump") open.push(step.to);
    else if (step.kind === "fork") open.push(step.first, step.second);
  }
  return reached;
}
