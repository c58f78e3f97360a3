import { ClusterConfigServiceService } from "../../../proto/gen/mezite/cluster_config/v1/cluster_config.js";
import { LockServiceService } from "../../../proto/gen/mezite/locks/v1/locks.js";
import { absolute, type Figure } from "../figure.js";
import { connectWith, loginSessionOf } from "../login-session.js";
import type { Followed } from "./fleet-protocol.js";
import { BYSTANDER, type ScaleBed } from "./scale-bed.js";

const ROUNDS = 3;

/** From the call of an administrator until every agent has the change in its copies; the slowest of some rounds. */
export async function measureReaching(bed: ScaleBed): Promise<readonly Figure[]> {
  const connection = connectWith(loginSessionOf(bed.cluster, bed.cluster.home));
  try {
    const locks = connection.client(LockServiceService);
    const settings = connection.client(ClusterConfigServiceService);
    const times = { user: [] as number[], role: [] as number[], settings: [] as number[] };
    for (let round = 0; round < ROUNDS; round += 1) {
      for (const type of ["user", "role"] as const) {
        const target = { type, name: BYSTANDER };
        const lock = () => locks.createLock({ target, message: "bench", ttlSeconds: 0 });
        times[type].push(await reach(bed, "locks", lock));
        await reach(bed, "locks", () => locks.deleteLocks({ which: { $case: "target", target } }));
      }
      const set = () => settings.setSetting({ key: "lock_mode", value: "best_effort" });
      times.settings.push(await reach(bed, "settings", set));
      await reach(bed, "settings", () => settings.unsetSetting({ key: "lock_mode" }));
    }
    return [
      absolute("a lock of a user reaches all", Math.max(...times.user), "ms", 2_000, "at most"),
      absolute("a lock of a role reaches all", Math.max(...times.role), "ms", 2_000, "at most"),
      absolute("a change of a setting reaches all", Math.max(...times.settings), "ms", 2_000, "at most"),
    ];
  } finally {
    connection.close();
  }
}

// --- internal ---

async function reach({ fleets }: ScaleBed, what: Followed, change: () => Promise<unknown>): Promise<number> {
  await Promise.all(fleets.map((fleet) => fleet.ask({ ask: "follow", what })));
  const began = Date.now();
  const [times] = await Promise.all([Promise.all(fleets.map((fleet) => fleet.ask({ ask: "reached" }))), change()]);
  return Math.max(...times.map(({ at }) => at)) - began;
}
