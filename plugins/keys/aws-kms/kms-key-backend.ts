import { createHash, createPublicKey, randomBytes, verify } from "node:crypto";
import { setTimeout as wait } from "node:timers/promises";
import {
  CreateKeyCommand,
  GetPublicKeyCommand,
  type KeySpec,
  type MessageType,
  ScheduleKeyDeletionCommand,
  SignCommand,
  type SigningAlgorithmSpec,
} from "@aws-sdk/client-kms";
import { MezError } from "../../../core/errors/error.js";
import type { Logger } from "../../../core/plugin/logger.js";
import type { BackendKey, KeyAlgorithm, KeyBackend } from "../../../core/ports/key-backend.js";
import { rawSignature } from "./ecdsa-signature.js";
import type { KmsClients } from "./kms-clients.js";
import { isGone, isThrottled, toKeyError } from "./kms-error.js";
import { formatKmsHandle, type KmsKey, parseKmsHandle } from "./kms-handle.js";

export interface KmsKeyBackendParts {
  readonly clients: KmsClients;
  readonly logger: Logger;
  /** Where new keys are made. */
  readonly region: string;
  /** 7 to 30. */
  readonly deletionDays: number;
  /** Stands in the description of keys. */
  readonly clusterName: string;
}

/** Makes and uses keys in AWS KMS. A handle is the algorithm and the ARN of a key. */
export class KmsKeyBackend implements KeyBackend {
  constructor(private readonly parts: KmsKeyBackendParts) {}

  async generate(algorithm: KeyAlgorithm): Promise<BackendKey> {
    const { region, logger } = this.parts;
    const key = { algorithm, arn: await this.#create(algorithm), region };
    const handle = formatKmsHandle(key);
    try {
      const publicKeyDer = await this.#whenThere(() => this.#publicKey(key));
      const text = randomBytes(32);
      if (!isSignedBy(algorithm, publicKeyDer, text, await this.#whenThere(() => this.#sign(key, text))))
        throw new MezError("KEY_BACKEND_REFUSED", "signatures of the new key do not verify");
      return { handle, algorithm, publicKeyDer };
    } catch (error) {
      await this.destroy(handle).catch(() => logger.error("a key in AWS KMS was left behind; delete it", { arn: key.arn }));
      throw toKeyError(error, region);
    }
  }

  async sign(handle: string, data: Buffer): Promise<Buffer> {
    const key = parseKmsHandle(handle);
    if (key === null) throw new MezError("NOT_FOUND", "there is no key under this handle in AWS KMS");
    if (data.length === 0) throw new MezError("INVALID_ARGUMENT", "there is nothing to sign");
    if (key.algorithm === "ed25519" && data.length > MAX_RAW_BYTES)
      throw new MezError("INVALID_ARGUMENT", `AWS KMS signs at most ${MAX_RAW_BYTES} bytes with Ed25519, not ${data.length}`);
    return this.#sign(key, data).catch((error: unknown) => {
      throw toKeyError(error, key.region);
    });
  }

  /** KMS deletes keys after days; from now on it signs nothing with this one. */
  async destroy(handle: string): Promise<void> {
    const key = parseKmsHandle(handle);
    if (key === null) return;
    const { clients, deletionDays } = this.parts;
    const command = new ScheduleKeyDeletionCommand({ KeyId: key.arn, PendingWindowInDays: deletionDays });
    try {
      await clients.of(key.region).send(command);
    } catch (error) {
      if (!isGone(error)) throw toKeyError(error, key.region);
    }
  }

  /** A request without an answer is not repeated: it may have made a key, which costs money. */
  async #create(algorithm: KeyAlgorithm): Promise<string> {
    const { clients, region, clusterName } = this.parts;
    const { spec } = ALGORITHMS[algorithm];
    const command = new CreateKeyCommand({
      KeySpec: spec,
      KeyUsage: "SIGN_VERIFY",
      Description: `Mezite CA key (${algorithm}) of cluster ${clusterName}`,
      Tags: [{ TagKey: "mezite-cluster", TagValue: clusterName }],
    });
    for (let left = THROTTLED_TRIES; ; left -= 1) {
      try {
        const { KeyMetadata } = await clients.once(region).send(command);
        if (KeyMetadata?.Arn !== undefined) return KeyMetadata.Arn;
        throw new MezError("KEY_BACKEND_UNAVAILABLE", "AWS KMS made a key and did not name it; try again");
      } catch (error) {
        if (!isThrottled(error) || left === 0) throw toKeyError(error, region);
        await wait(PAUSE_MS);
      }
    }
  }

  async #publicKey({ arn, region }: KmsKey): Promise<Buffer> {
    const { PublicKey } = await this.parts.clients.of(region).send(new GetPublicKeyCommand({ KeyId: arn }));
    return Buffer.from(PublicKey ?? []);
  }

  async #sign({ arn, region, algorithm }: KmsKey, data: Buffer): Promise<Buffer> {
    const { signing, message } = ALGORITHMS[algorithm];
    const { Signature } = await this.parts.clients.of(region).send(
      new SignCommand({
        ...{ KeyId: arn, SigningAlgorithm: signing, MessageType: message },
        Message: message === "RAW" ? data : createHash("sha256").update(data).digest(),
      }),
    );
    const signature = Buffer.from(Signature ?? []);
    return algorithm === "ed25519" ? signature : rawSignature(signature);
  }

  /** A new key is not known everywhere at once. */
  async #whenThere<T>(work: () => Promise<T>): Promise<T> {
    for (let left = NEW_KEY_TRIES; ; left -= 1) {
      try {
        return await work();
      } catch (error) {
        if (!isGone(error) || left === 0) throw error;
        await wait(PAUSE_MS);
      }
    }
  }
}

// --- internal ---

const MAX_RAW_BYTES = 4096; // AWS KMS API Reference, Sign, "Message"
const THROTTLED_TRIES = 5;
const NEW_KEY_TRIES = 25;
const PAUSE_MS = 200;

interface KmsAlgorithm {
  readonly spec: KeySpec;
  readonly signing: SigningAlgorithmSpec;
  readonly message: MessageType;
}

const ALGORITHMS: Readonly<Record<KeyAlgorithm, KmsAlgorithm>> = {
  ed25519: { spec: "ECC_NIST_EDWARDS25519", signing: "ED25519_SHA_512", message: "RAW" },
  "ecdsa-p256": { spec: "ECC_NIST_P256", signing: "ECDSA_SHA_256", message: "DIGEST" },
};

function isSignedBy(algorithm: KeyAlgorithm, publicKeyDer: Buffer, data: Buffer, signature: Buffer): boolean {
  const key = createPublicKey({ key: publicKeyDer, format: "der", type: "spki" });
  return algorithm === "ed25519"
    ? verify(null, data, key, signature)
    : verify("sha256", data, { key, dsaEncoding: "ieee-p1363" }, signature);
}
