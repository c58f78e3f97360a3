import assert from "node:assert/strict";
import { test } from "node:test";
import { type Guard, guardRefusal, onGuardChange } from "./guard.js";

/** Refuses everybody while `isClosed`. */
class Door implements Guard {
  readonly listeners = new Set<() => void>();
  isClosed = false;

  constructor(private readonly name: string) {}

  refusal() {
    return this.isClosed ? { message: this.name, detail: "closed" } : null;
  }

  onChange(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => void this.listeners.delete(listener);
  }
}

class Doors {
  readonly listeners = new Set<() => void>();
  #doors: readonly Door[] = [];

  all(): readonly Door[] {
    return this.#doors;
  }

  onChange(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => void this.listeners.delete(listener);
  }

  become(...doors: readonly Door[]): void {
    this.#doors = doors;
    for (const listener of this.listeners) listener();
  }
}

test("the first guard that objects is heard", () => {
  const [one, two] = [new Door("one"), new Door("two")];
  two.isClosed = true;
  assert.deepEqual(guardRefusal({ all: () => [one, two] }, {}), { message: "two", detail: "closed" });
});

test("follows guards that come, lets go of those that leave, and takes both for changes", () => {
  const doors = new Doors();
  const [one, two] = [new Door("one"), new Door("two")];
  doors.become(one);
  let changes = 0;
  const stop = onGuardChange(doors, () => {
    changes += 1;
  });
  doors.become(two);
  assert.deepEqual([changes, one.listeners.size, two.listeners.size], [1, 0, 1]);
  for (const listener of two.listeners) listener();
  assert.equal(changes, 2);
  stop();
  assert.deepEqual([two.listeners.size, doors.listeners.size], [0, 0]);
});
