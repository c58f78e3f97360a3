import type { ChoiceSetting, NumberSetting } from "../../core/plugin/cluster-settings.js";

/** Whether people log in with a second factor: never, those who have one, or all. */
export const SECOND_FACTOR: ChoiceSetting<"off" | "optional" | "required"> = {
  key: "second_factor",
  type: "choice",
  choices: ["off", "optional", "required"],
  default: "optional",
  description: "whether a login needs a second factor: never, of those who have one, or of everybody",
};

/** How many others have to approve an access request. */
export const ACCESS_REQUEST_APPROVALS: NumberSetting = {
  key: "access_request_approvals",
  type: "number",
  min: 1,
  max: 20,
  default: 1,
  description: "how many people have to approve an access request before it is granted",
};
