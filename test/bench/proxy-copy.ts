import { spawn } from "node:child_process";
import { ProxyTestBed } from "../fixtures/proxy-bed.js";
import { median } from "./statistics.js";

/**
 * Measures OpenSSH through proxy and node, all three of ours in one process: MiB/s and CPU seconds per GiB of that
 * process, both ways. The node's side is a plain `cat` behind our SSH server. Prints one JSON object.
 */
const ROUNDS = 3;
const MIB = 256;
const CIPHER = "aes128-gcm@openssh.com"; // by itself OpenSSH takes chacha20, which costs several times as much in Node

const bed = await ProxyTestBed.open();
const key = bed.key("bench");
await bed.node("web-01", "11111111-1111-4111-8111-111111111111");
const results: Record<string, { mibPerSecond: number; cpuSecondsPerGib: number }> = {};
for (const [way, command] of [
  ["up", `head -c ${MIB}M /dev/zero | ssh -F "$CONFIG" web-01 'cat > /dev/null'`],
  ["down", `ssh -F "$CONFIG" web-01 'head -c ${MIB}M /dev/zero' > /dev/null`],
] as const) {
  const rates: number[] = [];
  const cpu: number[] = [];
  for (let round = 0; round <= ROUNDS; round += 1) {
    const before = process.cpuUsage();
    const began = performance.now();
    await shell(command, bed.config(key, "alice", CIPHER));
    const seconds = (performance.now() - began) / 1000;
    const { user, system } = process.cpuUsage(before);
    if (round === 0) continue; // warms up
    rates.push(MIB / seconds);
    cpu.push(((user + system) / 1e6) * (1024 / MIB));
  }
  results[way] = { mibPerSecond: median(rates), cpuSecondsPerGib: median(cpu) };
}
await bed.close();
console.log(JSON.stringify(results, null, 2));

// --- internal ---

function shell(command: string, config: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn("sh", ["-c", command], {
      stdio: ["ignore", "inherit", "inherit"],
      env: { ...process.env, CONFIG: config },
    });
    child.once("close", (code) => (code === 0 ? resolve() : reject(new Error(`the client ended with ${code}`))));
  });
}
