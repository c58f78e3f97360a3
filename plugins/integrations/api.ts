import { MezError } from "../../core/errors/error.js";
import type { CommandContext } from "../../core/plugin/commands.js";
import { hidesText } from "../../core/ports/integration.js";
import type { PlanIntegrationResponse } from "../../proto/gen/mezite/integrations/v1/integrations.js";

/**
 * Prints a plan: the script, or its steps where another format was asked for.
 * @throws {MezError} `INVALID_DOCUMENT` when a terminal would not show the script as a shell reads it, whatever the server checked
 */
export async function printPlan(
  context: Pick<CommandContext, "output" | "stdout">,
  { steps, script }: PlanIntegrationResponse,
): Promise<void> {
  if (context.output.format === "table") {
    if (hidesText(script))
      throw new MezError("INVALID_DOCUMENT", "the script of the server holds characters that hide what it does; it is not shown");
    return void context.stdout.write(script);
  }
  await context.output.rows(steps, [
    { key: "name", header: "STEP", value: ({ name }) => name },
    { key: "summary", header: "SUMMARY", value: ({ summary }) => summary },
    {
      key: "documents",
      header: "DOCUMENTS",
      value: ({ documents }) => documents.map(({ name }) => name),
      json: ({ documents }) => documents,
    },
    { key: "commands", header: "COMMANDS", value: ({ commands }) => commands },
  ]);
}
