import { MezError } from "../../../core/errors/error.js";
import type { Secret } from "../../../core/plugin/secret.js";
import { parseDuration } from "../../../core/time/duration.js";

/** `plugins.keys.aws-kms.config` of the config file, after its schema. */
export interface KmsConfig {
  readonly region: string;
  readonly endpoint: string;
  readonly access_key_id: string;
  readonly secret_access_key?: Secret;
  readonly timeout: string;
  readonly deletion_days: number;
}

export interface KmsSettings {
  /** Where new keys are made. */
  readonly region: string;
  /** `null` for the public one of the region. */
  readonly endpoint: string | null;
  /** `null` takes the default chain: environment, shared files, container and instance roles. */
  readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: Secret } | null;
  readonly timeoutMs: number;
  /** 7 to 30. */
  readonly deletionDays: number;
}

/**
 * Checks what a schema cannot.
 * @throws {MezError} `CONFIG_INVALID`
 */
export function kmsSettings(config: KmsConfig): KmsSettings {
  const { region, endpoint, access_key_id: accessKeyId, secret_access_key: secretAccessKey } = config;
  if (region === "") throw invalid("region", "is missing; it is where the keys are, e.g. eu-central-1");
  if (endpoint !== "" && !isAddress(endpoint))
    throw invalid("endpoint", "is not the address of a service; write it like https://kms.example.com");
  if ((accessKeyId === "") !== (secretAccessKey === undefined))
    throw invalid(
      accessKeyId === "" ? "access_key_id" : "secret_access_key",
      "is missing; give both, or neither for the default credentials",
    );
  return {
    region,
    endpoint: endpoint === "" ? null : endpoint,
    credentials: secretAccessKey === undefined ? null : { accessKeyId, secretAccessKey },
    timeoutMs: parseDuration(config.timeout) * 1000,
    deletionDays: config.deletion_days,
  };
}

// --- internal ---

/** Plain HTTP only to this machine: what is signed goes there. */
function isAddress(text: string): boolean {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url === null || url.username !== "" || url.pathname !== "/" || url.search !== "") return false;
  return url.protocol === "https:" || (url.protocol === "http:" && /^(127\.0\.0\.1|localhost|\[::1\])$/.test(url.hostname));
}

function invalid(key: string, why: string): MezError {
  return new MezError("CONFIG_INVALID", `plugins.keys.aws-kms.config.${key} ${why}`);
}
