import type { Factory } from "./contract.js";

/** Makes a service at the first call and gives the same one after: for a plugin whose declarations share it. */
export function once<T>(factory: Factory<T>): Factory<T> {
  let made: { readonly value: T } | null = null;
  return (resolve) => {
    made ??= { value: factory(resolve) };
    return made.value;
  };
}
