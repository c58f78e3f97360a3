import assert from "node:assert/strict";
import type { Socket } from "node:net";
import { test } from "node:test";
import { PendingConnections } from "./pending-connections.js";

/** `+` before those that speak; limit 4. */
const CASES: readonly (readonly [what: string, there: readonly string[], newcomer: string, closed: string])[] = [
  ["there is room", ["+10.0.0.1", "+10.0.0.1", "+10.0.0.1"], "10.0.0.1", ""],
  ["the oldest of its network that is silent goes", ["+10.0.0.1", "10.0.0.1", "10.0.0.1", "+10.0.0.1"], "10.0.0.1", "1"],
  ["the newcomer goes when all of its network speak", ["+10.0.0.1", "+10.0.0.1", "+10.0.0.1", "+10.0.0.1"], "10.0.0.1", "new"],
  ["one of the network with the most goes for another", ["+10.0.0.1", "+10.0.0.1", "+10.0.0.1", "+10.0.0.2"], "10.0.0.2", "0"],
  ["and one that is silent first", ["+10.0.0.1", "+10.0.0.1", "10.0.0.1", "10.0.0.2"], "10.0.0.3", "2"],
  ["addresses of one /64 are one network", ["+2001:db8::1", "+2001:db8::2", "+2001:db8::3", "+10.0.0.1"], "10.0.0.2", "0"],
  [
    "who would have as many as any other takes nobody's place",
    ["+10.0.0.1", "+10.0.0.1", "+10.0.0.2", "+10.0.0.2"],
    "10.0.0.1",
    "new",
  ],
  ["nor does one of many networks", ["+10.0.0.1", "+10.0.0.2", "+10.0.0.3", "+10.0.0.4"], "10.0.0.5", "new"],
  ["unless somebody is silent", ["+10.0.0.1", "+10.0.0.2", "10.0.0.3", "+10.0.0.4"], "10.0.0.5", "2"],
];

for (const [what, there, newcomer, closed] of CASES) {
  test(`when too many knock: ${what}`, () => {
    const pending = new PendingConnections(4);
    const gone: string[] = [];
    const add = (address: string, name: string) => {
      const socket: Partial<Socket> = {
        remoteAddress: address.replace("+", ""),
        destroy: () => {
          gone.push(name);
          return socket as Socket;
        },
      };
      const entry = pending.add(name, socket as Socket);
      if (entry !== null) entry.speaks = address.startsWith("+");
    };
    for (const [index, address] of there.entries()) add(address, String(index));
    add(newcomer, "new");
    assert.equal(gone.join(), closed);
    assert.equal(pending.size, Math.min(there.length + 1, 4));
  });
}
