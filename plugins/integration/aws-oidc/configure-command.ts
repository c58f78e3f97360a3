import { messageOf } from "../../../core/errors/error.js";
import type { CommandContext } from "../../../core/plugin/commands.js";
import type { RpcClient } from "../../../core/plugin/rpc.js";
import {
  IntegrationServiceService,
  type Outcome,
  type PlanIntegrationResponse,
} from "../../../proto/gen/mezite/integrations/v1/integrations.js";
import { printPlan } from "../../integrations/api.js";
import { parseTarget } from "./federation-target.js";

export interface AwsOidcInput {
  readonly account: string;
  readonly spiffeId: string;
  readonly roleName: string;
  readonly awsProfile?: string | undefined;
  readonly awsRegion?: string | undefined;
}

const KIND = "aws-oidc";

/** `mezctl integrations configure aws-oidc` */
export async function configureAwsOidc(context: CommandContext, input: AwsOidcInput): Promise<void> {
  const { account, spiffeId, roleName, awsProfile, awsRegion } = input;
  const client = await context.rpc(IntegrationServiceService);
  const parameters = { account, spiffe_id: spiffeId, role_name: roleName };
  const live = awsProfile !== undefined || awsRegion !== undefined;
  const plan = await client.planIntegration({ kind: KIND, parameters, live }, { signal: context.signal });
  if (!live) return printPlan(context, plan);
  const outcomes: Outcome[] = [];
  try {
    await converge(context, plan, input, outcomes);
  } catch (error) {
    outcomes.push({ step: STEPS[outcomes.length] ?? "", result: "failed", subject: messageOf(error) });
    throw error;
  } finally {
    await report(context, client, parameters, outcomes);
    const done = outcomes.filter(({ result }) => result !== "failed");
    if (done.length > 0)
      await context.output.rows(done, [
        { key: "step", header: "STEP", value: ({ step }) => step },
        { key: "result", header: "RESULT", value: ({ result }) => result },
        { key: "subject", header: "WHAT", value: ({ subject }) => subject },
      ]);
  }
}

// --- internal ---

const STEPS = ["identity-provider", "role"];

/** With credentials of this machine, which the server never sees. */
async function converge(
  context: CommandContext,
  plan: PlanIntegrationResponse,
  input: AwsOidcInput,
  outcomes: Outcome[],
): Promise<void> {
  const { account, spiffeId, roleName, awsProfile: profile, awsRegion: region } = input;
  const federation = { ...parseTarget(plan.targetJson), account, spiffeId, roleName };
  context.output.note(`account ${account} is to trust tokens of ${federation.issuer}`);
  const { IAMClient } = await import("@aws-sdk/client-iam");
  const { convergeIam } = await import("./iam-convergence.js");
  const iam = new IAMClient({
    ...(profile === undefined ? {} : { profile }),
    ...(region === undefined ? {} : { region }),
  });
  try {
    await convergeIam(iam, federation, (outcome) => outcomes.push(outcome), context.signal);
  } finally {
    iam.destroy();
  }
}

/** What happened in AWS has happened: a report that does not get through is said and changes nothing. */
async function report(
  context: CommandContext,
  client: RpcClient<typeof IntegrationServiceService>,
  parameters: Record<string, string>,
  outcomes: Outcome[],
): Promise<void> {
  try {
    await client.reportIntegration({ kind: KIND, parameters, outcomes }, {});
  } catch (error) {
    context.output.note(`this is not in the audit log of the cluster: ${messageOf(error)}`);
  }
}
