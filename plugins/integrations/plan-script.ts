import type { IntegrationDocument, IntegrationPlan } from "../../core/ports/integration.js";

/**
 * A plan as a script for a POSIX shell that a person can read: documents are written to files of the current folder, then the
 * commands that use them. Nothing of the plan is read by the shell as anything but words.
 * @param plan Passed `planProblem`.
 */
export function planScript(kind: string, { steps }: IntegrationPlan): string {
  const head = `# mezctl integrations configure ${kind}: read it, then run it with sh -eu, step by step or as a whole.`;
  const parts = steps.map(({ summary, documents, commands }, index) =>
    [`# ${index + 1}. ${summary}`, ...documents.map(writing), ...commands.map(commandLine)].join("\n"),
  );
  return `${[head, ...parts].join("\n\n")}\n`;
}

/** Words as a shell reads them: quoted where that is needed. */
export function commandLine(words: readonly string[]): string {
  return words.map((word) => (PLAIN.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`)).join(" ");
}

// --- internal ---

const PLAIN = /^[A-Za-z0-9_./:@%+,=-]+$/;

/** A here-document whose end is a line that the text does not have. */
function writing({ name, text }: IntegrationDocument): string {
  const lines = text.replace(/\n$/, "").split("\n");
  let end = "END";
  while (lines.includes(end)) end += "_";
  return [`cat > ./${name} <<'${end}'`, ...lines, end].join("\n");
}
