import { MezError } from "../../core/errors/error.js";
import { authorOf } from "../../core/plugin/audit-author.js";
import type { RpcHandlers, RpcService } from "../../core/plugin/rpc.js";
import {
  type Integration as IntegrationMessage,
  IntegrationServiceService,
  type Outcome,
} from "../../proto/gen/mezite/integrations/v1/integrations.js";
import type { IntegrationKind, IntegrationOutcome, IntegrationService } from "./integration-service.js";
import { commandLine, planScript } from "./plan-script.js";

export const INTEGRATION_RPC: RpcService<typeof IntegrationServiceService> = {
  name: "mezite.integrations.v1.IntegrationService",
  definition: IntegrationServiceService,
  permissions: {
    listIntegrations: "integration:list",
    planIntegration: "integration:use",
    reportIntegration: "integration:use",
  },
};

/** Answers the calls about integrations. */
export function integrationHandlers(integrations: IntegrationService): RpcHandlers<typeof IntegrationServiceService> {
  return {
    listIntegrations: async () => ({ integrations: integrations.list().map(toMessage) }),
    async planIntegration({ kind, parameters, live }, call) {
      const plan = await integrations.plan(kind, parameters, live ? "live" : "script", authorOf(call));
      const steps = plan.steps.map(({ name, summary, documents, commands }) => ({
        ...{ name, summary, documents: [...documents] },
        commands: commands.map(commandLine),
      }));
      return { steps, script: planScript(kind, plan), targetJson: JSON.stringify(plan.target) };
    },
    async reportIntegration({ kind, parameters, outcomes }, call) {
      await integrations.report(kind, parameters, parseOutcomes(outcomes), authorOf(call));
      return {};
    },
  };
}

// --- internal ---

const RESULTS: readonly string[] = ["made", "changed", "kept", "failed"] satisfies IntegrationOutcome["result"][];
const MAX_OUTCOMES = 50;
const MAX_WORD = 1000;

function toMessage({ kind, summary, parameters: { properties, required = [] } }: IntegrationKind): IntegrationMessage {
  const parameters = Object.entries(properties).map(([name, parameter]) => ({
    ...{ name, description: parameter.description, required: required.includes(name) },
    defaultValue: parameter.default ?? "",
  }));
  return { kind, summary, parameters };
}

function parseOutcomes(outcomes: readonly Outcome[]): readonly IntegrationOutcome[] {
  if (outcomes.length === 0 || outcomes.length > MAX_OUTCOMES)
    throw new MezError("INVALID_ARGUMENT", `a report has 1 to ${MAX_OUTCOMES} outcomes, not ${outcomes.length}`);
  return outcomes.map(({ step, result, subject }) => {
    if (!RESULTS.includes(result)) throw new MezError("INVALID_ARGUMENT", `a result is one of ${RESULTS.join(", ")}`);
    return { step: wordOf(step), result: result as IntegrationOutcome["result"], subject: wordOf(subject) };
  });
}

function wordOf(text: string): string {
  return text.replace(/\p{Cc}/gu, " ").slice(0, MAX_WORD);
}
