import { type Connector, MezError, messageOf, type OutsideIdentity, type PasswordCheck, type Secret } from "mezite/plugin";

const MAX_ANSWER_BYTES = 256 * 1024;

/** Asks a directory over HTTP. What it says of a person is checked here and, for what accounts can have, by the server again. */
export class DirectoryConnector implements Connector {
  constructor(
    private readonly url: string,
    private readonly token: Secret,
  ) {}

  async checkPassword({ userName, password, clientAddress }: PasswordCheck, signal: AbortSignal): Promise<OutsideIdentity> {
    const answer = await this.#ask(JSON.stringify({ login: userName, password, address: clientAddress }), signal);
    const { login, active, groups, attributes } = answer;
    if (typeof login !== "string" || typeof active !== "boolean") throw unusable("it says neither login nor active");
    if (!active) throw refused();
    return { userName: login.toLowerCase(), claims: { ...listsOf(attributes), groups: listOf(groups, "groups") } };
  }

  async #ask(body: string, signal: AbortSignal): Promise<Readonly<Record<string, unknown>>> {
    const headers = { authorization: `Bearer ${this.token.expose()}`, "content-type": "application/json" };
    try {
      const response = await fetch(this.url, { method: "POST", headers, body, redirect: "error", signal });
      if (response.status === 401) throw refused();
      if (response.status !== 200) throw unusable(`it answered ${response.status}`);
      const parsed: unknown = JSON.parse(await textOf(response));
      if (typeof parsed !== "object" || parsed === null || Array.isArray(parsed)) throw unusable("its answer is no object");
      return parsed as Readonly<Record<string, unknown>>;
    } catch (cause) {
      if (cause instanceof MezError) throw cause;
      throw unusable(messageOf(cause));
    }
  }
}

function refused(): MezError {
  return new MezError("INVALID_CREDENTIALS", "invalid credentials");
}

function unusable(why: string): MezError {
  return new MezError("UNAVAILABLE", `the directory cannot be used: ${why}`);
}

async function textOf(response: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of response.body ?? []) {
    size += chunk.length;
    if (size > MAX_ANSWER_BYTES) throw unusable(`its answer is larger than ${MAX_ANSWER_BYTES} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

function listsOf(attributes: unknown): Record<string, readonly string[]> {
  if (attributes === undefined) return {};
  if (typeof attributes !== "object" || attributes === null) throw unusable("its attributes are no object");
  return Object.fromEntries(Object.entries(attributes).map(([name, values]) => [name, listOf(values, name)]));
}

function listOf(values: unknown, name: string): readonly string[] {
  if (Array.isArray(values) && values.every((value) => typeof value === "string")) return values;
  throw unusable(`"${name.slice(0, 60)}" is no list of texts`);
}
