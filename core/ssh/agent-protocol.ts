import { MezError } from "../errors/error.js";
import { SESSION_BIND, type SessionBinding } from "./agent-bindings.js";
import { type Destination, RESTRICT_DESTINATION, readDestinations } from "./agent-destinations.js";
import { parseCertificate } from "./certificate.js";
import { readSecretPart, type SshPrivateKey } from "./private-key.js";
import { isSshKeyType, parsePublicKey } from "./public-key.js";
import type { SignatureAlgorithm } from "./signature.js";
import { mpint, string, uint32, WireReader } from "./wire.js";

/** The longest message of the protocol, without its length. As OpenSSH has it. */
export const MAX_AGENT_MESSAGE_BYTES = 256 * 1024;

/** What a client asks of an agent. `other` is left to the agent behind, or refused. */
export type AgentRequest =
  | { readonly kind: "list" | "remove-all" | "other" }
  | {
      readonly kind: "sign";
      readonly keyBlob: Buffer;
      readonly data: Buffer;
      /** Which hash an RSA key shall use. */
      readonly rsaAlgorithm: SignatureAlgorithm;
    }
  | {
      readonly kind: "add";
      readonly key: SshPrivateKey;
      readonly certificateBlob: Buffer | null;
      readonly comment: string;
      /** `null` for as long as the agent runs. */
      readonly lifetimeSeconds: number | null;
      /** Whether the person is asked at each use. */
      readonly confirm: boolean;
      /** Where it may be used; empty for everywhere. */
      readonly destinations: readonly Destination[];
    }
  | ({ readonly kind: "bind" } & SessionBinding)
  | { readonly kind: "remove"; readonly keyBlob: Buffer }
  | { readonly kind: "lock" | "unlock"; readonly passphrase: Buffer }
  | { readonly kind: "extension"; readonly name: string };

/** One key as an agent lists it. */
export interface AgentIdentity {
  /** A public key, or a certificate. */
  readonly blob: Buffer;
  readonly comment: string;
}

/**
 * Reads a message to an agent, without its length.
 * @throws {MezError} `SSH_MALFORMED`; `SSH_KEY_UNSUPPORTED` for a key or a constraint that cannot be kept
 * @see draft-ietf-sshm-ssh-agent; OpenSSH PROTOCOL.agent
 */
export function parseAgentRequest(message: Buffer): AgentRequest {
  const reader = new WireReader(message, "agent request");
  const type = reader.byte();
  const request = parseBody(type, reader);
  if (request.kind !== "other" && request.kind !== "extension") reader.end();
  return request;
}

/** The answer to a request that only succeeds or fails, without its length. */
export function agentResult(succeeded: boolean): Buffer {
  return Buffer.of(succeeded ? SUCCESS : FAILURE);
}

/** Encodes the answer to a request for identities: each public key or certificate with its comment. */
export function agentIdentities(identities: readonly AgentIdentity[]): Buffer {
  const entries = identities.flatMap(({ blob, comment }) => [string(blob), string(comment)]);
  return Buffer.concat([Buffer.of(IDENTITIES_ANSWER), uint32(identities.length), ...entries]);
}

/** @param signature As `createSignature` returns it. */
export function agentSignature(signature: Buffer): Buffer {
  return Buffer.concat([Buffer.of(SIGN_RESPONSE), string(signature)]);
}

/** The answer to the extension `query`. */
export function agentExtensions(names: readonly string[]): Buffer {
  return Buffer.concat([Buffer.of(SUCCESS), ...names.map(string)]);
}

/** Reads the list of an agent; `null` when the answer is none. @throws {MezError} `SSH_MALFORMED` */
export function parseAgentIdentities(message: Buffer): readonly AgentIdentity[] | null {
  const reader = new WireReader(message, "agent answer");
  if (reader.byte() !== IDENTITIES_ANSWER) return null;
  const count = reader.uint32();
  const identities: AgentIdentity[] = [];
  for (let number = 0; number < count; number++) identities.push({ blob: reader.string(), comment: reader.text() });
  reader.end();
  return identities;
}

/** The message that asks for the list. */
export const LIST_REQUEST = Buffer.of(11);

/** The message that asks for a signature. @param keyBlob As the agent lists it; no RSA key. */
export function agentSignRequest(keyBlob: Buffer, data: Buffer): Buffer {
  return Buffer.concat([Buffer.of(SIGN_REQUEST), string(keyBlob), string(data), uint32(0)]);
}

/** Reads the answer to it: a signature, `null` when the agent refuses. @throws {MezError} `SSH_MALFORMED` */
export function parseAgentSignature(message: Buffer): Buffer | null {
  const reader = new WireReader(message, "agent answer");
  if (reader.byte() !== SIGN_RESPONSE) return null;
  const signature = reader.string();
  reader.end();
  return signature;
}

// --- internal ---

const FAILURE = 5;
const SUCCESS = 6;
const IDENTITIES_ANSWER = 12;
const SIGN_REQUEST = 13;
const SIGN_RESPONSE = 14;
const RSA_SHA2_512 = 4;
const CONSTRAIN_EXTENSION = 255;

function parseBody(type: number, reader: WireReader): AgentRequest {
  switch (type) {
    case 11:
      return { kind: "list" };
    case SIGN_REQUEST: {
      const [keyBlob, data, flags] = [reader.string(), reader.string(), reader.uint32()];
      return { kind: "sign", keyBlob, data, rsaAlgorithm: flags & RSA_SHA2_512 ? "rsa-sha2-512" : "rsa-sha2-256" };
    }
    case 17:
      return { ...readKey(reader), ...NO_CONSTRAINTS };
    case 18:
      return { kind: "remove", keyBlob: reader.string() };
    case 19:
      return { kind: "remove-all" };
    case 22:
      return { kind: "lock", passphrase: reader.string() };
    case 23:
      return { kind: "unlock", passphrase: reader.string() };
    case 25:
      return { ...readKey(reader), ...readConstraints(reader) };
    case 27:
      return readExtension(reader);
    default:
      return { kind: "other" };
  }
}

function readKey(reader: WireReader): {
  kind: "add";
  key: SshPrivateKey;
  certificateBlob: Buffer | null;
  comment: string;
} {
  const type = reader.text();
  const certificateBlob = isSshKeyType(type) ? null : reader.string();
  const publicBlob = certificateBlob === null ? readPublicHalf(type, reader) : parseCertificate(certificateBlob).subjectBlob;
  const publicKey = parsePublicKey(publicBlob);
  if (certificateBlob !== null && publicKey.type === "ssh-ed25519") reader.string();
  return { kind: "add", key: readSecretPart(publicKey, reader), certificateBlob, comment: reader.text() };
}

function readPublicHalf(type: string, reader: WireReader): Buffer {
  const first = reader.string();
  if (type === "ssh-ed25519") return Buffer.concat([string(type), string(first)]);
  const second = reader.string();
  // The agent protocol has n before e, the key itself e before n.
  if (type === "ssh-rsa") return Buffer.concat([string(type), mpint(second), mpint(first)]);
  return Buffer.concat([string(type), string(first), string(second)]);
}

interface Constraints {
  readonly lifetimeSeconds: number | null;
  readonly confirm: boolean;
  readonly destinations: readonly Destination[];
}

const NO_CONSTRAINTS: Constraints = { lifetimeSeconds: null, confirm: false, destinations: [] };

function readConstraints(reader: WireReader): Constraints {
  let constraints = NO_CONSTRAINTS;
  while (!reader.isAtEnd) constraints = { ...constraints, ...readConstraint(reader, constraints) };
  return constraints;
}

function readConstraint(reader: WireReader, { destinations }: Constraints): Partial<Constraints> {
  const constraint = reader.byte();
  if (constraint === 1) return { lifetimeSeconds: reader.uint32() };
  if (constraint === 2) return { confirm: true };
  if (constraint === CONSTRAIN_EXTENSION && destinations.length === 0 && reader.text() === RESTRICT_DESTINATION)
    return { destinations: readDestinations(reader.string()) };
  throw new MezError("SSH_KEY_UNSUPPORTED", "the key has a constraint that this agent cannot keep");
}

function readExtension(reader: WireReader): AgentRequest {
  const name = reader.text();
  if (name !== SESSION_BIND) return { kind: "extension", name };
  const [hostKeyBlob, sessionId, signature] = [reader.string(), reader.string(), reader.string()];
  return { kind: "bind", hostKeyBlob, sessionId, signature, isForwarding: reader.boolean() };
}
