import { readFile } from "node:fs/promises";
import { MezError } from "../../core/errors/error.js";
import { systemReason } from "../../core/errors/system-reason.js";
import type { CommandContext } from "../../core/plugin/commands.js";
import { parseAuthorizedKey } from "../../core/ssh/authorized-key.js";
import { NodeServiceService } from "../../proto/gen/mezite/nodes/v1/nodes.js";
import { printNode } from "./node-commands.js";

/** How a host key is given: exactly one of both. */
export interface HostKeyInput {
  /** In the form of a `.pub` file. */
  readonly hostKey: string | undefined;
  readonly hostKeyFile: string | undefined;
  readonly verifyHostKey: boolean;
}

export interface AddNodeInput extends HostKeyInput {
  readonly openssh: boolean;
  readonly name: string;
  readonly host: string;
  readonly port: number;
  readonly labels: Readonly<Record<string, string>> | undefined;
}

/** `mezctl nodes add` */
export async function addNode(context: CommandContext, input: AddNodeInput): Promise<void> {
  if (!input.openssh)
    throw new MezError(
      "INVALID_ARGUMENT",
      "only OpenSSH nodes are added here, with --openssh; an agent joins with a token: mezctl tokens create --roles=node",
    );
  const { name, host, port, labels = {}, verifyHostKey } = input;
  const hostKey = await readHostKey(input);
  const client = await context.rpc(NodeServiceService);
  const node = await client.addOpenSshNode(
    { name, host, port, labels: { ...labels }, hostKey, verifyHostKey },
    { signal: context.signal },
  );
  await printNode(context, node);
  context.output.note(`the sshd of ${name} has to trust the User CA: mezctl ca export --type=user, for TrustedUserCAKeys`);
}

/** `mezctl nodes rotate-host-key` */
export async function rotateHostKey(context: CommandContext, name: string, input: HostKeyInput): Promise<void> {
  const hostKey = await readHostKey(input);
  const client = await context.rpc(NodeServiceService);
  await printNode(
    context,
    await client.rotateHostKey({ name, hostKey, verifyHostKey: input.verifyHostKey }, { signal: context.signal }),
  );
}

// --- internal ---

const MAX_BYTES = 65_536;

/** @returns Wire form. */
async function readHostKey({ hostKey, hostKeyFile }: HostKeyInput): Promise<Buffer> {
  if ((hostKey === undefined) === (hostKeyFile === undefined))
    throw new MezError("INVALID_ARGUMENT", "give the node's host key with one of --host-key and --host-key-file");
  const source = hostKeyFile ?? "--host-key";
  const text = hostKey ?? (await readKeyFile(source));
  const lines = text.split(/\r?\n/).filter((line) => !/^\s*(#|$)/.test(line));
  if (lines.some((line) => line.includes("PRIVATE KEY")))
    throw new MezError("INVALID_ARGUMENT", `${source} holds a private key; give the public one, the file that ends in .pub`);
  try {
    const [key = wireKey(""), ...more] = lines.map(wireKey);
    if (more.length === 0) return key;
  } catch (cause) {
    if (cause instanceof MezError && cause.code === "SSH_KEY_UNSUPPORTED")
      throw new MezError("SSH_KEY_UNSUPPORTED", `${source}: ${cause.message}`, { cause });
    throw new MezError("INVALID_ARGUMENT", `${source} holds no SSH public key`, { cause });
  }
  throw new MezError("INVALID_ARGUMENT", `${source} holds ${lines.length} keys; give the one that the node is to be known by`);
}

function wireKey(line: string): Buffer {
  const { options, publicKey } = parseAuthorizedKey(line);
  if (options !== "") throw new MezError("SSH_MALFORMED", "words stand before the key");
  return publicKey.blob;
}

async function readKeyFile(file: string): Promise<string> {
  try {
    const text = await readFile(file, "utf8");
    return text.slice(0, MAX_BYTES);
  } catch (cause) {
    throw new MezError("INVALID_ARGUMENT", `cannot read ${file}: ${systemReason(cause)}`, { cause });
  }
}
