import { MezError } from "../../core/errors/error.js";
import { printable } from "./user-name.js";

/** Values by trait name. */
export type TraitMap = Readonly<Record<string, readonly string[]>>;

/**
 * `traits` with those of `changes` in their place; an empty list removes a trait. Values lose repetitions and keep their
 * order.
 * @throws {MezError} `INVALID_ARGUMENT` for a name or value that no template could use.
 */
export function mergeTraits(traits: TraitMap, changes: TraitMap): TraitMap {
  for (const [name, values] of Object.entries(changes)) checkTrait(name, values);
  const merged = Object.entries({ ...traits, ...changes }).filter(([, values]) => values.length > 0);
  if (merged.length > MAX_TRAITS) throw new MezError("INVALID_ARGUMENT", `a user can have ${MAX_TRAITS} traits at most`);
  return Object.fromEntries(merged.map(([name, values]) => [name, [...new Set(values)]]));
}

// --- internal ---

const TRAIT_NAME = /^[A-Za-z0-9_][A-Za-z0-9_.:/-]{0,127}$/;
const MAX_TRAITS = 100;
const MAX_VALUES = 100;
const MAX_VALUE_LENGTH = 256;

function checkTrait(name: string, values: readonly string[]): void {
  if (!TRAIT_NAME.test(name))
    throw new MezError("INVALID_ARGUMENT", `trait name "${printable(name)}" is not valid; use letters, digits and . _ : / -`);
  if (values.length > MAX_VALUES) throw new MezError("INVALID_ARGUMENT", `trait "${name}" has more than ${MAX_VALUES} values`);
  for (const value of values) {
    if (value === "" || value.length > MAX_VALUE_LENGTH || /\p{Cc}/u.test(value)) {
      throw new MezError(
        "INVALID_ARGUMENT",
        `trait "${name}" has a value that is empty, longer than ${MAX_VALUE_LENGTH} characters or has control characters`,
      );
    }
  }
}
