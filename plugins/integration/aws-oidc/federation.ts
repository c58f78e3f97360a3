import { MezError } from "../../../core/errors/error.js";

export type AwsPartition = "aws" | "aws-cn" | "aws-us-gov";

/** How an AWS account comes to trust the JWT-SVIDs of a cluster. */
export interface Federation {
  readonly partition: AwsPartition;
  /** 12 digits. */
  readonly account: string;
  /** `iss` of the tokens: `https://host`. */
  readonly issuer: string;
  /** `aud` of the tokens. */
  readonly audience: string;
  /** SHA-1 of certificates in lower-case hex; empty leaves it to AWS. */
  readonly thumbprints: readonly string[];
  readonly roleName: string;
  /** Who may take the role; `*` stands for any characters. */
  readonly spiffeId: string;
}

/** What tokens for AWS say as `aud`. */
export const AWS_AUDIENCE = "sts.amazonaws.com";

/** Name of the cluster's provider in the account. */
export function providerArn({ partition, account, issuer }: Pick<Federation, "partition" | "account" | "issuer">): string {
  return `arn:${partition}:iam::${account}:oidc-provider/${hostOf(issuer)}`;
}

/**
 * Who may take the role: tokens of the cluster for AWS, of programs with this SPIFFE ID.
 * @see AWS IAM User Guide, "Available keys for AWS OIDC federation"
 */
export function trustPolicy(federation: Federation): object {
  const { issuer, audience, spiffeId } = federation;
  const [aud, sub] = [`${hostOf(issuer)}:aud`, `${hostOf(issuer)}:sub`];
  const condition = spiffeId.includes("*")
    ? { StringEquals: { [aud]: audience }, StringLike: { [sub]: spiffeId } }
    : { StringEquals: { [aud]: audience, [sub]: spiffeId } };
  return {
    Version: "2012-10-17",
    Statement: [
      {
        Effect: "Allow",
        Principal: { Federated: providerArn(federation) },
        Action: "sts:AssumeRoleWithWebIdentity",
        Condition: condition,
      },
    ],
  };
}

/** @throws {MezError} `INVALID_ARGUMENT` */
export function requireAccount(account: string): string {
  if (/^[0-9]{12}$/.test(account)) return account;
  throw new MezError("INVALID_ARGUMENT", `account "${shown(account)}" is no AWS account; it has 12 digits, e.g. 123456789012`);
}

/** @throws {MezError} `INVALID_ARGUMENT` @see AWS IAM API Reference, CreateRole, "RoleName" */
export function requireRoleName(name: string): string {
  if (/^[A-Za-z0-9_+=,.@-]{1,64}$/.test(name)) return name;
  throw new MezError("INVALID_ARGUMENT", `"${shown(name)}" is no name of a role; it has 1 to 64 of A-Z a-z 0-9 _ + = , . @ -`);
}

/**
 * @param trustDomain The cluster's: nobody else's programs get its tokens.
 * @throws {MezError} `INVALID_ARGUMENT`
 * @see SPIFFE-ID, 2; a `*` may stand anywhere in the path, and nothing else that a policy would read as more than itself
 */
export function requireSpiffeId(spiffeId: string, trustDomain: string): string {
  const own = `spiffe://${trustDomain}/`;
  if (!spiffeId.startsWith(own))
    throw new MezError("INVALID_ARGUMENT", `"${shown(spiffeId)}" is no SPIFFE ID of this cluster; it begins with ${own}`);
  const parts = spiffeId.slice(own.length).split("/");
  if (spiffeId.length <= MAX_SPIFFE_ID && parts.every((part) => /^[A-Za-z0-9._*-]+$/.test(part) && !/^\.{1,2}$/.test(part)))
    return spiffeId;
  throw new MezError(
    "INVALID_ARGUMENT",
    `"${shown(spiffeId)}" is no SPIFFE ID; write it like ${own}payments, or ${own}payments/* for all below`,
  );
}

// --- internal ---

const MAX_SPIFFE_ID = 2048; // SPIFFE-ID, 2.3

function hostOf(issuer: string): string {
  return issuer.replace(/^https?:\/\//, "");
}

function shown(text: string): string {
  return text.replace(/\p{Cc}/gu, "?").slice(0, 100);
}
