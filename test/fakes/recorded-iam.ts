import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/**
 * NOT AWS IAM, and no emulator of it: the requests and answers that its documentation shows (AWS Identity and Access Management API
 * Reference 2010-05-08, query protocol) for OpenID Connect providers and roles of one account. Signatures are not checked.
 */
export class RecordedIam {
  /** Names of the actions that changed something, in order. */
  readonly changes: string[] = [];
  /** By ARN. */
  readonly providers = new Map<string, { readonly audiences: string[]; thumbprints: string[] }>();
  /** Trust policies by name. */
  readonly roles = new Map<string, string>();
  /** Actions that answer AccessDenied. */
  readonly denied = new Set<string>();
  readonly #server = createServer((request, response) => void this.#serve(request, response));

  private constructor(private readonly account: string) {}

  static async start(account: string): Promise<RecordedIam> {
    const iam = new RecordedIam(account);
    iam.#server.listen(0, "127.0.0.1");
    await once(iam.#server, "listening");
    return iam;
  }

  get endpoint(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, "close");
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const pieces: Buffer[] = [];
    for await (const piece of request) pieces.push(piece as Buffer);
    const parameters = new URLSearchParams(Buffer.concat(pieces).toString());
    const action = parameters.get("Action") ?? "";
    const { status, body } = this.#answer(action, parameters);
    response.writeHead(status, { "content-type": "text/xml" }).end(body);
  }

  #answer(action: string, parameters: URLSearchParams): Answer {
    const arn = parameters.get("OpenIDConnectProviderArn") ?? "";
    const name = parameters.get("RoleName") ?? "";
    const provider = this.providers.get(arn);
    const role = this.roles.get(name);
    if (this.denied.has(action)) return failure(403, "AccessDenied", `User is not authorized to perform: iam:${action}`);
    switch (action) {
      case "GetOpenIDConnectProvider":
        if (provider === undefined) return missing(`OpenIDConnect Provider not found for arn ${arn}`);
        return success(
          action,
          list("ClientIDList", provider.audiences) + list("ThumbprintList", provider.thumbprints) + element("Url", arn),
        );
      case "GetRole":
        if (role === undefined) return missing(`The role with name ${name} cannot be found.`);
        return success(action, this.#role(name, role));
    }
    this.changes.push(action);
    switch (action) {
      case "CreateOpenIDConnectProvider": {
        const url = new URL(parameters.get("Url") ?? "");
        const made = `arn:aws:iam::${this.account}:oidc-provider/${url.host}`;
        this.providers.set(made, {
          audiences: listOf(parameters, "ClientIDList"),
          thumbprints: listOf(parameters, "ThumbprintList"),
        });
        return success(action, element("OpenIDConnectProviderArn", made));
      }
      case "DeleteOpenIDConnectProvider":
        this.providers.delete(arn);
        return success(action, "");
      case "AddClientIDToOpenIDConnectProvider":
        provider?.audiences.push(parameters.get("ClientID") ?? "");
        return success(action, "");
      case "UpdateOpenIDConnectProviderThumbprint":
        if (provider !== undefined) provider.thumbprints = listOf(parameters, "ThumbprintList");
        return success(action, "");
      case "CreateRole":
        this.roles.set(name, parameters.get("AssumeRolePolicyDocument") ?? "");
        return success(action, this.#role(name, this.roles.get(name) ?? ""));
      case "UpdateAssumeRolePolicy":
        this.roles.set(name, parameters.get("PolicyDocument") ?? "");
        return success(action, "");
      default:
        return failure(400, "InvalidAction", `Could not find operation ${action}`);
    }
  }

  #role(name: string, policy: string): string {
    const arn = element("Arn", `arn:aws:iam::${this.account}:role/${name}`);
    const document = element("AssumeRolePolicyDocument", encodeURIComponent(policy));
    return `<Role><Path>/</Path>${arn}${element("RoleName", name)}${document}<CreateDate>2026-01-01T00:00:00Z</CreateDate></Role>`;
  }
}

// --- internal ---

interface Answer {
  readonly status: number;
  readonly body: string;
}

const NAMESPACE = "https://iam.amazonaws.com/doc/2010-05-08/";

function success(action: string, result: string): Answer {
  const about = "<ResponseMetadata><RequestId>7a62c49f-347e-4fc4-9331-6e8eEXAMPLE</RequestId></ResponseMetadata>";
  const body = `<${action}Response xmlns="${NAMESPACE}"><${action}Result>${result}</${action}Result>${about}</${action}Response>`;
  return { status: 200, body };
}

function missing(message: string): Answer {
  return failure(404, "NoSuchEntity", message);
}

function failure(status: number, code: string, message: string): Answer {
  const error = `<Error><Type>Sender</Type><Code>${code}</Code>${element("Message", message)}</Error>`;
  const body = `<ErrorResponse xmlns="${NAMESPACE}">${error}<RequestId>7a62c49f-347e-4fc4-9331-6e8eEXAMPLE</RequestId></ErrorResponse>`;
  return { status, body };
}

function element(name: string, text: string): string {
  return `<${name}>${text.replaceAll("&", "&amp;").replaceAll("<", "&lt;")}</${name}>`;
}

function list(name: string, members: readonly string[]): string {
  return `<${name}>${members.map((member) => element("member", member)).join("")}</${name}>`;
}

function listOf(parameters: URLSearchParams, name: string): string[] {
  return [...parameters].filter(([key]) => key.startsWith(`${name}.member.`)).map(([, value]) => value);
}
