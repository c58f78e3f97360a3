import { KMSClient } from "@aws-sdk/client-kms";
import type { KmsSettings } from "./kms-settings.js";

const ATTEMPTS = 3;

/** Clients of KMS, one for each region that keys are in. They open nothing before their first request. */
export class KmsClients {
  readonly #clients = new Map<string, KMSClient>();

  constructor(private readonly settings: KmsSettings) {}

  /** For what may be asked twice: throttling, timeouts and failures of the service are tried again. */
  of(region: string): KMSClient {
    return this.#client(region, ATTEMPTS);
  }

  /** For what is done once, although nobody knows whether it was. */
  once(region: string): KMSClient {
    return this.#client(region, 1);
  }

  close(): void {
    for (const client of this.#clients.values()) client.destroy();
    this.#clients.clear();
  }

  #client(region: string, maxAttempts: number): KMSClient {
    const name = `${region} ${maxAttempts}`;
    const known = this.#clients.get(name);
    if (known !== undefined) return known;
    const { endpoint, credentials, timeoutMs } = this.settings;
    const client = new KMSClient({
      region,
      maxAttempts,
      requestHandler: { connectionTimeout: timeoutMs, requestTimeout: timeoutMs, throwOnRequestTimeout: true },
      ...(endpoint === null ? {} : { endpoint }),
      ...(credentials === null
        ? {}
        : { credentials: { accessKeyId: credentials.accessKeyId, secretAccessKey: credentials.secretAccessKey.expose() } }),
    });
    this.#clients.set(name, client);
    return client;
  }
}
