import type { Socket } from "node:net";
import { messageOf } from "../../../core/errors/error.js";
import type { Logger } from "../../../core/plugin/logger.js";
import type { Clock } from "../../../core/time/clock.js";
import { loadPeerCredentials, type PeerCredentials } from "../../../core/unix-socket/peer-credentials.js";
import type { WorkloadSocketSettings } from "../settings.js";
import { CallerLimits } from "./caller-limits.js";
import { ChangeSignal } from "./change-signal.js";
import { JwtSvids } from "./jwt-svids.js";
import { LinuxProcessTable } from "./process-table.js";
import { ProgramDigests } from "./program-digests.js";
import { Workload } from "./workload.js";
import { WorkloadHandlers } from "./workload-handlers.js";
import type { WorkloadIssuer } from "./workload-issuer.js";
import { WorkloadServer } from "./workload-server.js";
import { listenForWorkloads } from "./workload-socket.js";
import { type WorkloadSource, WorkloadWatch } from "./workload-watch.js";
import { X509Svids } from "./x509-svids.js";

/** The SPIFFE Workload API of this host, while it is served. */
export interface WorkloadApi {
  /** Goes on under the newest certificates of the instance; called after the first set and after each renewal. */
  follow(): void;
  close(): Promise<void>;
}

export interface WorkloadApiParts {
  readonly socket: WorkloadSocketSettings;
  readonly auth: WorkloadIssuer & WorkloadSource;
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * Serves the programs of this host. Callers get `UNAVAILABLE` until the auth service has told what they may have.
 * @throws {MezError} `PEER_CREDENTIALS_UNAVAILABLE`, `ADDRESS_IN_USE`, `ADDRESS_UNUSABLE`
 */
export async function serveWorkloadApi({ socket, auth, clock, logger }: WorkloadApiParts): Promise<WorkloadApi> {
  const readCredentials = await loadPeerCredentials();
  const random = Math.random;
  const changes = new ChangeSignal();
  const x509 = new X509Svids({ issuer: auth, clock, logger, random }, () => watch.report());
  const jwt = new JwtSvids({ issuer: auth, clock, logger, random });
  const watch = new WorkloadWatch({
    ...{ source: auth, changes, logger, random },
    onChange: (directory) => {
      x509.keep(directory);
      jwt.keep(directory);
    },
  });
  const limits = new CallerLimits(clock);
  const server = new WorkloadServer({
    handlers: new WorkloadHandlers({ watch, changes, x509, jwt, limits, clock, logger }),
    ...{ limits, logger },
  });
  const processes = new LinuxProcessTable();
  const digests = new ProgramDigests(processes);
  const admit = (connected: Socket): void => {
    connected.on("error", () => connected.destroy());
    let credentials: PeerCredentials | null = null;
    try {
      credentials = readCredentials(connected);
      const workload = new Workload(credentials, processes, digests);
      const release = limits.admitConnection(workload);
      connected.once("close", release);
      connected.once("close", () => workload.credentials.close());
      server.serve(connected, workload);
    } catch (error) {
      credentials?.close();
      connected.destroy();
      const { pid = null, uid = null } = credentials ?? {};
      if (limits.admitLogLine(uid ?? -1))
        logger.info("a connection to the Workload API was refused", { pid, uid, reason: messageOf(error) });
    }
  };
  const listener = await listenForWorkloads(socket, admit);
  logger.info("serving the SPIFFE Workload API", { socket: socket.path });
  return {
    follow: () => watch.restart(),
    async close() {
      server.close();
      await watch.close();
      await listener.close();
    },
  };
}
