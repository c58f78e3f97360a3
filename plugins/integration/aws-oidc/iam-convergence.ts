import {
  AddClientIDToOpenIDConnectProviderCommand,
  CreateOpenIDConnectProviderCommand,
  CreateRoleCommand,
  DeleteOpenIDConnectProviderCommand,
  GetOpenIDConnectProviderCommand,
  type GetOpenIDConnectProviderResponse,
  GetRoleCommand,
  type IAMClient,
  type Role,
  UpdateAssumeRolePolicyCommand,
  UpdateOpenIDConnectProviderThumbprintCommand,
} from "@aws-sdk/client-iam";
import { isMezError, MezError } from "../../../core/errors/error.js";
import { type Federation, providerArn, trustPolicy } from "./federation.js";
import { toAwsError } from "./iam-error.js";
import { isSamePolicy, trustsOnly } from "./policy-comparison.js";

/** What became of one step in AWS. */
export interface IamOutcome {
  readonly step: "identity-provider" | "role";
  readonly result: "made" | "changed" | "kept";
  /** The ARN, and what was changed. */
  readonly subject: string;
}

/**
 * Makes provider and role in the account, or brings them up to date; what is right already is not written. A second call changes
 * nothing. Audiences of others stay.
 * @param tell Called after each step, in order.
 * @throws {MezError} `CONFLICT` when the credentials are of another account, or the role trusts somebody else: nothing of theirs is
 *   changed; `ACCESS_DENIED`, `UNAUTHENTICATED`, `UNAVAILABLE`, `LIMIT_EXCEEDED` by AWS
 */
export async function convergeIam(
  iam: IAMClient,
  federation: Federation,
  tell: (outcome: IamOutcome) => void,
  signal: AbortSignal,
): Promise<void> {
  const converging = new Convergence(iam, federation, signal);
  tell(await converging.provider());
  tell(await converging.role());
}

// --- internal ---

class Convergence {
  readonly #arn: string;

  constructor(
    private readonly iam: IAMClient,
    private readonly federation: Federation,
    private readonly signal: AbortSignal,
  ) {
    this.#arn = providerArn(federation);
  }

  async provider(): Promise<IamOutcome> {
    const step = "identity-provider" as const;
    const held = await this.#provider();
    if (held === null) {
      await this.#makeProvider();
      return { step, result: "made", subject: this.#arn };
    }
    const changes = [await this.#addAudience(held), await this.#setThumbprints(held)].filter((change) => change !== null);
    if (changes.length === 0) return { step, result: "kept", subject: this.#arn };
    return { step, result: "changed", subject: `${this.#arn}: ${changes.join(", ")}` };
  }

  async role(): Promise<IamOutcome> {
    const { roleName } = this.federation;
    const wanted = trustPolicy(this.federation);
    const found = await this.#role();
    if (found === null) {
      const made = await this.#makeRole(wanted);
      return { step: "role", result: "made", subject: made };
    }
    const { Arn: arn = "", AssumeRolePolicyDocument: encoded = "" } = found;
    this.#requireAccount(arn);
    const held = policyOf(encoded);
    if (isSamePolicy(held, wanted)) return { step: "role", result: "kept", subject: arn };
    if (!trustsOnly(held, this.#arn))
      throw new MezError(
        "CONFLICT",
        `role ${roleName} is not one for this cluster: it trusts somebody else than ${this.#arn}; give another --role-name, or change it by hand`,
      );
    const input = { RoleName: roleName, PolicyDocument: JSON.stringify(wanted) };
    await this.#send("iam:UpdateAssumeRolePolicy", (options) => this.iam.send(new UpdateAssumeRolePolicyCommand(input), options));
    return { step: "role", result: "changed", subject: `${arn}: trust policy` };
  }

  async #makeProvider(): Promise<void> {
    const { issuer, audience, thumbprints } = this.federation;
    const more = thumbprints.length === 0 ? {} : { ThumbprintList: [...thumbprints] };
    const input = { Url: issuer, ClientIDList: [audience], ...more };
    const made = await this.#send("iam:CreateOpenIDConnectProvider", (options) =>
      this.iam.send(new CreateOpenIDConnectProviderCommand(input), options),
    );
    const { OpenIDConnectProviderArn: arn = "" } = made;
    try {
      this.#requireAccount(arn);
    } catch (error) {
      // Which account it is, IAM says only now.
      await this.#send("iam:DeleteOpenIDConnectProvider", (options) =>
        this.iam.send(new DeleteOpenIDConnectProviderCommand({ OpenIDConnectProviderArn: arn }), options),
      );
      throw error;
    }
  }

  async #addAudience({ ClientIDList: audiences = [] }: GetOpenIDConnectProviderResponse): Promise<string | null> {
    const { audience } = this.federation;
    if (audiences.includes(audience)) return null;
    const input = { OpenIDConnectProviderArn: this.#arn, ClientID: audience };
    await this.#send("iam:AddClientIDToOpenIDConnectProvider", (options) =>
      this.iam.send(new AddClientIDToOpenIDConnectProviderCommand(input), options),
    );
    return `audience ${audience}`;
  }

  async #setThumbprints({ ThumbprintList: held = [] }: GetOpenIDConnectProviderResponse): Promise<string | null> {
    const { thumbprints } = this.federation;
    const known = new Set(held.map((each) => each.toLowerCase()));
    if (thumbprints.every((each) => known.has(each))) return null;
    const input = { OpenIDConnectProviderArn: this.#arn, ThumbprintList: [...thumbprints] };
    await this.#send("iam:UpdateOpenIDConnectProviderThumbprint", (options) =>
      this.iam.send(new UpdateOpenIDConnectProviderThumbprintCommand(input), options),
    );
    return "thumbprints";
  }

  #provider(): Promise<GetOpenIDConnectProviderResponse | null> {
    const command = new GetOpenIDConnectProviderCommand({ OpenIDConnectProviderArn: this.#arn });
    const asked = this.#send("iam:GetOpenIDConnectProvider", (options) => this.iam.send(command, options));
    return asked.catch(nullIfMissing).catch((error: unknown) => {
      // IAM shows nobody the providers of another account, and does not say that it is one.
      if (!isMezError(error, "ACCESS_DENIED") && !isMezError(error, "CONFLICT")) throw error;
      const { account } = this.federation;
      throw new MezError(error.code, `${error.message}; are these credentials of account ${account}?`, { cause: error });
    });
  }

  async #role(): Promise<Role | null> {
    const command = new GetRoleCommand({ RoleName: this.federation.roleName });
    const found = await this.#send("iam:GetRole", (options) => this.iam.send(command, options)).catch(nullIfMissing);
    return found?.Role ?? null;
  }

  async #makeRole(policy: object): Promise<string> {
    const input = {
      RoleName: this.federation.roleName,
      AssumeRolePolicyDocument: JSON.stringify(policy),
      Description: `Programs of the Mezite cluster at ${this.federation.issuer}`,
    };
    const { Role: role } = await this.#send("iam:CreateRole", (options) => this.iam.send(new CreateRoleCommand(input), options));
    return role?.Arn ?? this.federation.roleName;
  }

  #requireAccount(arn: string): void {
    const account = arn.split(":")[4];
    if (account === this.federation.account) return;
    throw new MezError(
      "CONFLICT",
      `these AWS credentials are of account ${account}, and --account is ${this.federation.account}; nothing was changed`,
    );
  }

  async #send<T>(operation: string, call: (options: { readonly abortSignal: AbortSignal }) => Promise<T>): Promise<T> {
    try {
      return await call({ abortSignal: this.signal });
    } catch (error) {
      throw toAwsError(error, operation);
    }
  }
}

function nullIfMissing(error: unknown): null {
  if (isMezError(error, "NOT_FOUND")) return null;
  throw error;
}

/** IAM answers with the document encoded as in a URL (RFC 3986). */
function policyOf(encoded: string): unknown {
  try {
    return JSON.parse(encoded.startsWith("{") ? encoded : decodeURIComponent(encoded));
  } catch {
    return null;
  }
}
