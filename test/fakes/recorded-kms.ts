import { createPublicKey, generateKeyPairSync, type KeyObject, randomUUID, sign } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { signDigest } from "./ecdsa-digest.js";

/** What happens to the next requests, one each: an error of KMS by its name and status, no answer at all, an answer that is lost. */
export type KmsFault = { readonly error: string; readonly status: number } | "silence" | "lost-answer" | "none";

/**
 * NOT AWS KMS, and no emulator of it: the requests and answers that its documentation shows (AWS Key Management Service API Reference
 * 2014-11-01: CreateKey, GetPublicKey, Sign, ScheduleKeyDeletion; JSON 1.1), with limits and key states as described there, around keys of
 * node:crypto. Of the signature of a request (SigV4) it checks that it is there and what it covers, not that it is right.
 */
export class RecordedKms {
  /** Names of the operations that were asked for, in order. */
  readonly operations: string[] = [];
  /** For how many requests a new key is not known yet. */
  delay = 0;
  readonly #keys = new Map<string, RecordedKey>();
  readonly #faults: KmsFault[] = [];
  readonly #server = createServer((request, response) => void this.#serve(request, response));

  static async start(): Promise<RecordedKms> {
    const kms = new RecordedKms();
    kms.#server.listen(0, "127.0.0.1");
    await once(kms.#server, "listening");
    return kms;
  }

  get endpoint(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** ARNs of keys that can sign. */
  get enabledKeys(): readonly string[] {
    return [...this.#keys].filter(([, { state }]) => state === "Enabled").map(([arn]) => arn);
  }

  faults(...next: readonly KmsFault[]): void {
    this.#faults.push(...next);
  }

  disable(arn: string): void {
    const key = this.#keys.get(arn);
    if (key !== undefined) key.state = "Disabled";
  }

  async close(): Promise<void> {
    if (!this.#server.listening) return;
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, "close");
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const pieces: Buffer[] = [];
    for await (const piece of request) pieces.push(piece as Buffer);
    const operation = /^TrentService\.(\w+)$/.exec(String(request.headers["x-amz-target"]))?.[1] ?? "";
    this.operations.push(operation);
    const fault = this.#faults.shift();
    if (fault === "silence") return;
    try {
      if (typeof fault === "object") throw new Refusal(fault.error, fault.status, "as the test wants it");
      checkRequest(request);
      const answer = this.#answer(operation, JSON.parse(Buffer.concat(pieces).toString()) as Input);
      if (fault === "lost-answer") return;
      send(response, 200, answer);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      send(response, error.status, { __type: error.name, message: error.message });
    }
  }

  #answer(operation: string, input: Input): unknown {
    if (operation === "CreateKey") return this.#create(input);
    const key = this.#keys.get(input.KeyId ?? "");
    if (key === undefined || key.unknownFor > 0) {
      if (key !== undefined) key.unknownFor -= 1;
      throw new Refusal("NotFoundException", 400, `Key '${input.KeyId}' does not exist`);
    }
    if (key.state === "PendingDeletion") throw new Refusal("KMSInvalidStateException", 400, `${key.arn} is pending deletion.`);
    if (operation === "ScheduleKeyDeletion") return remove(key, input);
    if (key.state === "Disabled") throw new Refusal("DisabledException", 400, `${key.arn} is disabled.`);
    if (operation === "GetPublicKey") return publicKeyOf(key);
    if (operation === "Sign") return signWith(key, input);
    throw new Refusal("UnknownOperationException", 400, "");
  }

  #create({ KeySpec, KeyUsage, Description, Tags }: Input): unknown {
    if (KeyUsage !== "SIGN_VERIFY" || !(KeySpec !== undefined && KeySpec in SPECS))
      throw new Refusal("ValidationException", 400, `1 validation error detected: ${KeySpec} ${KeyUsage}`);
    if (Tags?.some(({ TagKey, TagValue }) => !/^[\w .:/=+@-]{1,256}$/.test(`${TagKey}${TagValue}`)))
      throw new Refusal("TagException", 400, "");
    const id = randomUUID();
    const arn = `arn:aws:kms:eu-central-1:111122223333:key/${id}`;
    const { privateKey } =
      KeySpec === "ECC_NIST_P256" ? generateKeyPairSync("ec", { namedCurve: "P-256" }) : generateKeyPairSync("ed25519");
    this.#keys.set(arn, { arn, spec: KeySpec as Spec, privateKey, state: "Enabled", unknownFor: this.delay });
    return {
      KeyMetadata: {
        ...{ AWSAccountId: "111122223333", Arn: arn, KeyId: id, CreationDate: 1_763_800_000.123, Description, Enabled: true },
        ...{ KeyManager: "CUSTOMER", KeySpec, CustomerMasterKeySpec: KeySpec, KeyState: "Enabled", KeyUsage, MultiRegion: false },
        ...{ Origin: "AWS_KMS", SigningAlgorithms: SPECS[KeySpec as Spec] },
      },
    };
  }
}

// --- internal ---

type Spec = "ECC_NIST_P256" | "ECC_NIST_EDWARDS25519";

const SPECS: Readonly<Record<Spec, readonly string[]>> = {
  ECC_NIST_P256: ["ECDSA_SHA_256"],
  ECC_NIST_EDWARDS25519: ["ED25519_SHA_512", "ED25519_PH_SHA_512"],
};
const CREDENTIAL =
  /^AWS4-HMAC-SHA256 Credential=[A-Z0-9]+\/\d{8}\/eu-central-1\/kms\/aws4_request, SignedHeaders=([a-z0-9;-]+), Signature=[0-9a-f]{64}$/;

interface RecordedKey {
  readonly arn: string;
  readonly spec: Spec;
  readonly privateKey: KeyObject;
  state: "Enabled" | "Disabled" | "PendingDeletion";
  unknownFor: number;
}

interface Input {
  readonly KeyId?: string;
  readonly KeySpec?: string;
  readonly KeyUsage?: string;
  readonly Description?: string;
  readonly Tags?: readonly { readonly TagKey: string; readonly TagValue: string }[];
  readonly Message?: string;
  readonly MessageType?: string;
  readonly SigningAlgorithm?: string;
  readonly PendingWindowInDays?: number;
}

class Refusal extends Error {
  constructor(
    override readonly name: string,
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

function checkRequest({ method, headers }: IncomingMessage): void {
  const signed = CREDENTIAL.exec(headers.authorization ?? "")?.[1]?.split(";") ?? [];
  const isCovered = ["host", "x-amz-date", "x-amz-target"].every((name) => signed.includes(name));
  if (method !== "POST" || headers["content-type"] !== "application/x-amz-json-1.1" || !isCovered)
    throw new Refusal("IncompleteSignatureException", 400, "the request is not signed as it should be");
}

function publicKeyOf({ arn, spec, privateKey }: RecordedKey): unknown {
  return {
    ...{ KeyId: arn, KeySpec: spec, CustomerMasterKeySpec: spec, KeyUsage: "SIGN_VERIFY", SigningAlgorithms: SPECS[spec] },
    PublicKey: createPublicKey(privateKey).export({ format: "der", type: "spki" }).toString("base64"),
  };
}

function signWith({ arn, spec, privateKey }: RecordedKey, { Message = "", MessageType, SigningAlgorithm }: Input): unknown {
  const message = Buffer.from(Message, "base64");
  const isDigest = MessageType === "DIGEST";
  const fits = isDigest ? message.length === 32 : message.length >= 1 && message.length <= 4096;
  const isAllowed =
    spec === "ECC_NIST_P256" ? SigningAlgorithm === "ECDSA_SHA_256" : SigningAlgorithm === "ED25519_SHA_512" && !isDigest;
  if (!fits || !isAllowed)
    throw new Refusal("ValidationException", 400, `${message.length} bytes, ${MessageType}, ${SigningAlgorithm}`);
  const signature = isDigest
    ? signDigest(message, privateKey)
    : sign(spec === "ECC_NIST_P256" ? "sha256" : null, message, privateKey);
  return { KeyId: arn, Signature: signature.toString("base64"), SigningAlgorithm };
}

function remove(key: RecordedKey, { PendingWindowInDays = 30 }: Input): unknown {
  if (PendingWindowInDays < 7 || PendingWindowInDays > 30) throw new Refusal("ValidationException", 400, "");
  key.state = "PendingDeletion";
  return { KeyId: key.arn, KeyState: "PendingDeletion", DeletionDate: 1_766_400_000.0, PendingWindowInDays };
}

function send(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { "content-type": "application/x-amz-json-1.1", "x-amzn-requestid": randomUUID() });
  response.end(JSON.stringify(body));
}
