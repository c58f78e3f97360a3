import { isMezError, MezError } from "../../core/errors/error.js";
import type { AuditAuthor } from "../../core/plugin/audit-author.js";
import { parseCheckedYaml } from "../../core/plugin/checked-yaml.js";
import type { PortView } from "../../core/plugin/contract.js";
import type { Database } from "../../core/plugin/database.js";
import {
  type Integration,
  type IntegrationCluster,
  type IntegrationParameters,
  type IntegrationPlan,
  parametersProblem,
  planProblem,
} from "../../core/ports/integration.js";

export interface IntegrationServiceParts {
  readonly database: Database;
  readonly integrations: PortView<Integration>;
  readonly cluster: () => IntegrationCluster;
}

/** An integration as it is listed. */
export interface IntegrationKind {
  readonly kind: string;
  readonly summary: string;
  readonly parameters: IntegrationParameters;
}

/** What became of one step. */
export interface IntegrationOutcome {
  readonly step: string;
  readonly result: "made" | "changed" | "kept" | "failed";
  readonly subject: string;
}

export type Parameters = Readonly<Record<string, string>>;

/** The use cases of integrations. Nothing is kept but what the audit log says. */
export class IntegrationService {
  constructor(private readonly parts: IntegrationServiceParts) {}

  /** By kind. One whose process is being started again is left out. */
  list(): readonly IntegrationKind[] {
    const { integrations } = this.parts;
    return [...integrations.names()].sort().flatMap((kind) => {
      const { summary, parameters } = integrations.get(kind);
      return parametersProblem(parameters) === null ? [{ kind, summary, parameters }] : [];
    });
  }

  /**
   * @param mode Who carries it out: `script` people, `live` mezctl.
   * @throws {MezError} `NOT_FOUND`, `INVALID_ARGUMENT`, `CONFLICT`, `UNAVAILABLE`; `PLUGIN_UNAVAILABLE` while its process is away
   */
  async plan(kind: string, given: Parameters, mode: "script" | "live", author: AuditAuthor): Promise<IntegrationPlan> {
    const integration = this.#find(kind);
    const parameters = await checkedParameters(kind, integration, given);
    const plan = await integration.plan({ parameters, cluster: this.parts.cluster() }, AbortSignal.timeout(PLAN_MS));
    const problem = planProblem(plan);
    if (problem !== null) throw new MezError("INTERNAL", `integration "${kind}" made a plan that is none`, { detail: problem });
    await this.#audit("integration.planned", kind, author, { parameters, mode });
    return plan;
  }

  /**
   * Writes down what mezctl says that it did.
   * @throws {MezError} `NOT_FOUND`, `INVALID_ARGUMENT`
   */
  async report(kind: string, given: Parameters, outcomes: readonly IntegrationOutcome[], author: AuditAuthor): Promise<void> {
    const parameters = await checkedParameters(kind, this.#find(kind), given);
    await this.#audit("integration.configured", kind, author, { parameters, outcomes });
  }

  #find(kind: string): Integration {
    const { integrations } = this.parts;
    if (integrations.names().includes(kind)) return integrations.get(kind);
    const known = [...integrations.names()].sort().join(", ");
    throw new MezError(
      "NOT_FOUND",
      `this cluster has no integration "${kind.slice(0, 40)}"; ${known === "" ? "the plugins with integrations are off" : `it has ${known}`}`,
    );
  }

  async #audit(
    type: "integration.planned" | "integration.configured",
    kind: string,
    author: AuditAuthor,
    metadata: { readonly parameters: Parameters; readonly outcomes?: readonly IntegrationOutcome[]; readonly mode?: string },
  ): Promise<void> {
    const failed = metadata.outcomes?.find(({ result }) => result === "failed");
    await this.parts.database.transaction(async (tx) => {
      tx.audit({
        ...author,
        type,
        resourceType: "integration",
        resourceName: kind,
        success: failed === undefined,
        ...(failed === undefined ? {} : { errorMessage: failed.subject }),
        metadata,
      });
    });
  }
}

// --- internal ---

const PLAN_MS = 15_000;
const MAX_GIVEN = 65_536;

async function checkedParameters(kind: string, { parameters: schema }: Integration, given: Parameters): Promise<Parameters> {
  const problem = schema === undefined ? "its process is being started again" : parametersProblem(schema);
  if (problem !== null) throw new MezError("PLUGIN_UNAVAILABLE", `integration "${kind}" cannot be used: ${problem}`);
  const text = JSON.stringify(given);
  if (text.length > MAX_GIVEN) throw new MezError("INVALID_ARGUMENT", `${kind}: the parameters are too long`);
  try {
    return await parseCheckedYaml<Parameters>(text, {
      file: kind,
      schema,
      foreignSchema: true,
      what: "parameters",
      origin: () => kind,
    });
  } catch (error) {
    throw isMezError(error, "INVALID_DOCUMENT") ? new MezError("INVALID_ARGUMENT", error.message) : error;
  }
}
