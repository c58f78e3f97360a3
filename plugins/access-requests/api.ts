import type { NumberSetting } from "../../core/plugin/cluster-settings.js";

/** How many others have to approve an access request. */
export const ACCESS_REQUEST_APPROVALS: NumberSetting = {
  key: "access_request_approvals",
  type: "number",
  min: 1,
  max: 20,
  default: 1,
  description: "how many people have to approve an access request before it is granted",
};
