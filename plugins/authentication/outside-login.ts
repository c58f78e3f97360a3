import { isMezError, MezError, messageOf } from "../../core/errors/error.js";
import type { PortView } from "../../core/plugin/contract.js";
import type { Transaction } from "../../core/plugin/database.js";
import type { Secret } from "../../core/plugin/secret.js";
import type { Connector, OutsideIdentity } from "../../core/ports/connector.js";
import type { OutsideUsers } from "../users/api.js";

/** Who has one of `values` under a claim gets roles. */
export interface ClaimRule {
  readonly connector: string;
  readonly claim: string;
  readonly value: string;
  readonly roles: readonly string[];
}

export interface OutsideAttempt {
  readonly connector: string;
  readonly userName: string;
  readonly password: Secret;
  readonly clientAddress: string;
}

export interface OutsideLoginParts {
  readonly connectors: PortView<Connector>;
  /** `null` while nobody keeps accounts. */
  readonly users: () => OutsideUsers | null;
  readonly rules: readonly ClaimRule[];
}

const TIMEOUT_MS = 15_000;

/** Logins whose password an outside identity provider checks. */
export class OutsideLogin {
  constructor(private readonly parts: OutsideLoginParts) {}

  /** @throws {MezError} `INVALID_ARGUMENT` when there is no connector of that name */
  requireConnector(name: string): void {
    if (this.parts.connectors.names().includes(name)) return;
    throw new MezError("INVALID_ARGUMENT", `this cluster has no connector "${name.slice(0, 64)}"`);
  }

  /**
   * Asks the connector, and makes the person's account or brings it up to date.
   * @returns Name of the account.
   * @throws {MezError} `INVALID_CREDENTIALS`; `UNAVAILABLE` when the connector cannot ask; `ACCESS_DENIED` for somebody whose claims
   *   give no role, or whose name is another's account
   */
  async identify({ connector, userName, password, clientAddress }: OutsideAttempt): Promise<string> {
    if (userName === "" || userName.length > MAX_NAME || password.expose() === "")
      throw new MezError("INVALID_CREDENTIALS", "invalid credentials", {
        detail: "the name or the password is empty or too long",
      });
    const check = { userName, password: password.expose(), clientAddress };
    const signal = AbortSignal.timeout(TIMEOUT_MS);
    const answer = await this.parts.connectors.get(connector).checkPassword(check, signal).catch(refusalOf(connector));
    const { userName: account, claims } = checkIdentity(connector, answer);
    const roles = this.#rolesOf(connector, claims);
    if (roles.length === 0)
      throw new MezError("ACCESS_DENIED", `nothing that ${connector} says of you gives you a role here; ask your administrator`);
    const users = this.parts.users();
    if (users === null) throw new MezError("UNAVAILABLE", "accounts cannot be read now; try again");
    await users.admit({ connector, userName: account, roles, claims, clientAddress });
    return account;
  }

  /** Whether the account is still that of the connector, in the transaction that opens a session. */
  async isStill(tx: Transaction, userName: string, connector: string): Promise<boolean> {
    return (await this.parts.users()?.isOf(tx, userName, connector)) === true;
  }

  #rolesOf(connector: string, claims: OutsideIdentity["claims"]): readonly string[] {
    const fitting = this.parts.rules.filter(
      (rule) => rule.connector === connector && Object.hasOwn(claims, rule.claim) && claims[rule.claim]?.includes(rule.value),
    );
    return [...new Set(fitting.flatMap(({ roles }) => roles))].sort();
  }
}

// --- internal ---

const MAX_NAME = 256;
const USER_NAME = /^[a-z0-9][a-z0-9._@-]{0,63}$/;
const MAX_CLAIMS = 64;
const MAX_VALUES = 1_000;
const MAX_CHARACTERS = 256;

/** Whatever a connector throws is one of two things for the person. */
function refusalOf(connector: string): (error: unknown) => never {
  return (error) => {
    if (isMezError(error, "INVALID_CREDENTIALS"))
      throw new MezError("INVALID_CREDENTIALS", "invalid credentials", {
        cause: error,
        detail: `connector ${connector}: ${error.message}`,
      });
    throw new MezError("UNAVAILABLE", `connector ${connector} cannot check passwords now; try again later`, {
      cause: error,
      detail: `connector ${connector}: ${messageOf(error)}`,
    });
  };
}

/** A connector is code from elsewhere, and repeats what a provider says: nothing of it is taken on trust. */
function checkIdentity(connector: string, answer: OutsideIdentity): OutsideIdentity {
  const wrong = (what: string): MezError =>
    new MezError("ACCESS_DENIED", `what ${connector} says of you cannot be used here; ask your administrator`, {
      detail: `connector ${connector}: ${what}`,
    });
  const { userName, claims } = answer;
  if (typeof userName !== "string" || !USER_NAME.test(userName))
    throw wrong(`"${String(userName).slice(0, 80)}" is no name of an account`);
  if (typeof claims !== "object" || claims === null) throw wrong("no claims");
  const entries = Object.entries(claims);
  if (entries.length > MAX_CLAIMS) throw wrong(`more than ${MAX_CLAIMS} claims`);
  for (const [name, values] of entries) {
    if (!/^[a-zA-Z][a-zA-Z0-9_.:/-]{0,127}$/.test(name)) throw wrong(`a claim "${name.slice(0, 80)}"`);
    if (!Array.isArray(values) || values.length > MAX_VALUES)
      throw wrong(`claim "${name}" is no list of up to ${MAX_VALUES} values`);
    if (values.some((value) => typeof value !== "string" || value.length > MAX_CHARACTERS || /\p{Cc}/u.test(value)))
      throw wrong(`claim "${name}" has a value that is no line of up to ${MAX_CHARACTERS} characters`);
  }
  return { userName, claims };
}
