import { MezError } from "../errors/error.js";
import type { Command, Flag, Input } from "../plugin/commands.js";
import type { Secret } from "../plugin/secret.js";
import type { GivenArguments, ReadInput } from "./arguments.js";
import { kebabCase } from "./flag-table.js";
import { type PromptStreams, promptSecret, readSecretFromStdin } from "./prompt.js";

/**
 * Completes the input of a command with the secrets that arguments and variables did not give: the one that was asked
 * for from standard input, then the required ones by asking the person.
 * @throws {MezError} `INVALID_ARGUMENT`
 */
export async function completeSecrets(
  read: ReadInput,
  given: GivenArguments,
  command: Command,
  streams: PromptStreams,
): Promise<Input> {
  const secrets: Record<string, Secret> = {};
  if (given.fromStdin !== undefined) {
    secrets[given.fromStdin] = await readSecretFromStdin(`--${kebabCase(given.fromStdin)}-stdin`, streams.stdin);
  }
  for (const key of read.missingSecrets) secrets[key] = await askFor(key, command.flags?.[key], streams);
  return { ...read.input, ...secrets };
}

// --- internal ---

async function askFor(key: string, flag: Flag | undefined, streams: PromptStreams): Promise<Secret> {
  const name = kebabCase(key);
  const shape = flag?.type === "secret" ? flag : undefined;
  const text = shape?.prompt ?? `${name[0]!.toUpperCase()}${name.slice(1).replaceAll("-", " ")}`;
  const otherWay = shape?.fromStdin === false ? `--${name}` : `--${name}-stdin`;
  const secret = await promptSecret(text, streams, otherWay);
  if (secret.expose() === "") throw new MezError("INVALID_ARGUMENT", `${name} is empty`);
  if (shape?.confirm !== true) return secret;
  const again = await promptSecret(`${text} again`, streams, otherWay);
  if (again.expose() !== secret.expose()) throw new MezError("INVALID_ARGUMENT", `the two entries for ${name} differ`);
  return secret;
}
