import { MezError } from "../../core/errors/error.js";
import type { LoginAnswer as Answer } from "../../core/plugin/login-answer.js";
import { LoginAnswer, LoginDemand, MfaServiceService } from "../../proto/gen/mezite/mfa/v1/mfa.js";
import { enrol, prove } from "./ceremony-client.js";

/** The client side of the login step `mfa`. */
const answerLogin: Answer = async (context, { message, userName, otp, client }) => {
  const { ceremony } = LoginDemand.decode(message);
  if (ceremony === undefined) throw new MezError("INVALID_DOCUMENT", "the server demands a second factor and does not say how");
  const mfa = client(MfaServiceService);
  if (ceremony.mustEnrol) {
    context.output.note(`This cluster asks for a second factor, and ${userName} has none yet. Add one now.`);
    await enrol(context, mfa, ceremony, "any");
  } else {
    await prove(context, mfa, ceremony, otp);
  }
  return Buffer.from(LoginAnswer.encode({ holder: ceremony.holder }).finish());
};

export default answerLogin;
