import assert from "node:assert/strict";
import { test } from "node:test";
import { silentLogger } from "../../test/fixtures/silent-logger.js";
import { PeerAddresses } from "./peer-addresses.js";

const never = new AbortController().signal;

test("a name with several addresses stands for as many proxies, and each is asked once", async () => {
  const found = { "proxies.internal": ["10.0.0.1", "10.0.0.2", "fd00::1"], "proxy-a.internal": ["10.0.0.1"] };
  const addresses = new PeerAddresses(["proxies.internal:3024", "proxy-a.internal:3024"], silentLogger, async (host) =>
    found[host as keyof typeof found].map((address) => ({ address, family: address.includes(":") ? 6 : 4 })),
  );
  assert.deepEqual(await all(addresses.find(never)), ["10.0.0.1:3024", "10.0.0.2:3024", "[fd00::1]:3024"]);
});

test("a name that cannot be found leaves the others", async () => {
  const addresses = new PeerAddresses(["gone.internal:3024", "here.internal:3024"], silentLogger, async (host) => {
    if (host === "gone.internal") throw new Error("ENOTFOUND");
    return [{ address: "10.0.0.1", family: 4 }];
  });
  assert.deepEqual(await all(addresses.find(never)), ["10.0.0.1:3024"]);
});

test("a name that the resolver hangs at holds up no other", async () => {
  const addresses = new PeerAddresses(["hangs.internal:3024", "here.internal:3024"], silentLogger, async (host) =>
    host === "hangs.internal" ? new Promise(() => undefined) : [{ address: "10.0.0.1", family: 4 }],
  );
  const { value } = await addresses.find(never).next();
  assert.equal(value, "10.0.0.1:3024");
});

test("a session that ends does not wait for the resolver, and those that come while it hangs ask it no more", async () => {
  let asked = 0;
  let answer: (found: readonly { address: string; family: number }[]) => void = () => undefined;
  const addresses = new PeerAddresses(["proxy-a.internal:3024"], silentLogger, () => {
    asked += 1;
    return new Promise((resolve) => {
      answer = resolve;
    });
  });
  const session = new AbortController();
  const pending = all(addresses.find(session.signal));
  const reason = new Error("locked");
  session.abort(reason);
  await assert.rejects(pending, reason);
  const others = [all(addresses.find(never)), all(addresses.find(never))];
  answer([{ address: "10.0.0.1", family: 4 }]);
  assert.deepEqual(await Promise.all(others), [["10.0.0.1:3024"], ["10.0.0.1:3024"]]);
  assert.equal(asked, 1);
});

// --- internal ---

async function all(found: AsyncIterable<string>): Promise<readonly string[]> {
  const addresses: string[] = [];
  for await (const address of found) addresses.push(address);
  return addresses;
}
