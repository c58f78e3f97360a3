import type { ChoiceSetting } from "../../core/plugin/cluster-settings.js";

/** Whether people log in with a second factor: never, those who have one, or all. */
export const SECOND_FACTOR: ChoiceSetting<"off" | "optional" | "required"> = {
  key: "second_factor",
  type: "choice",
  choices: ["off", "optional", "required"],
  default: "optional",
  description: "whether a login needs a second factor: never, of those who have one, or of everybody",
};
