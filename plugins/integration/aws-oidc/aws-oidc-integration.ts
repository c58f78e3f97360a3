import { MezError } from "../../../core/errors/error.js";
import type {
  Integration,
  IntegrationCluster,
  IntegrationParameters,
  IntegrationPlan,
  IntegrationRequest,
} from "../../../core/ports/integration.js";
import {
  AWS_AUDIENCE,
  type AwsPartition,
  type Federation,
  requireAccount,
  requireRoleName,
  requireSpiffeId,
  trustPolicy,
} from "./federation.js";

/** Has an AWS account trust the JWT-SVIDs of the cluster, as an OpenID Connect provider, for one role. */
export class AwsOidcIntegration implements Integration {
  readonly summary = "Programs trade their JWT-SVID for short-lived credentials of an AWS role";
  readonly parameters: IntegrationParameters = {
    type: "object",
    additionalProperties: false,
    required: ["account", "spiffe_id", "role_name"],
    properties: {
      account: { type: "string", description: "AWS account, 12 digits", examples: ["123456789012"] },
      spiffe_id: {
        type: "string",
        description: "Programs that may take the role; * stands for any characters",
        examples: ["spiffe://prod.example.com/*"],
      },
      role_name: { type: "string", description: "IAM role that is made for them", examples: ["MeziteWorkloadRole"] },
    },
  };

  constructor(private readonly config: { readonly partition: AwsPartition; readonly thumbprints: readonly string[] }) {}

  async plan({ parameters, cluster }: IntegrationRequest): Promise<IntegrationPlan> {
    const federation: Federation = {
      partition: this.config.partition,
      account: requireAccount(parameters["account"] ?? ""),
      issuer: requireIssuer(cluster),
      audience: AWS_AUDIENCE,
      thumbprints: this.config.thumbprints,
      roleName: requireRoleName(parameters["role_name"] ?? ""),
      spiffeId: requireSpiffeId(parameters["spiffe_id"] ?? "", cluster.trustDomain),
    };
    return { steps: [providerStep(federation), roleStep(federation, cluster.name)], target: { ...federation } };
  }
}

// --- internal ---

const POLICY_FILE = "mezite-trust-policy.json";

function providerStep({ account, issuer, audience, thumbprints }: Federation): IntegrationPlan["steps"][number] {
  const thumbprint = thumbprints.length === 0 ? [] : ["--thumbprint-list", ...thumbprints];
  return {
    name: "identity-provider",
    summary: `The cluster as an identity provider of account ${account}; once in an account`,
    documents: [],
    commands: [["aws", "iam", "create-open-id-connect-provider", "--url", issuer, "--client-id-list", audience, ...thumbprint]],
  };
}

function roleStep(federation: Federation, clusterName: string): IntegrationPlan["steps"][number] {
  const { roleName, spiffeId } = federation;
  return {
    name: "role",
    summary: `The role that ${spiffeId} may take; it may do nothing yet`,
    documents: [{ name: POLICY_FILE, text: `${JSON.stringify(trustPolicy(federation), null, 2)}\n` }],
    commands: [
      [
        ...["aws", "iam", "create-role", "--role-name", roleName, "--description", roleDescription(clusterName)],
        ...["--assume-role-policy-document", `file://${POLICY_FILE}`],
      ],
    ],
  };
}

function roleDescription(clusterName: string): string {
  return `Programs of the Mezite cluster ${clusterName}`;
}

function requireIssuer({ issuer }: IntegrationCluster): string {
  if (issuer === null)
    throw new MezError(
      "CONFLICT",
      "tokens of this cluster name no issuer that AWS could ask for the keys; set jwt_issuer of the plugin spiffe-bundle on the auth service, e.g. https://mezite.example.com",
    );
  if (/:\d+$/.test(issuer))
    throw new MezError("CONFLICT", `AWS takes no issuer with a port, and jwt_issuer is ${issuer}; serve the web on port 443`);
  return issuer;
}
