import { isMezError, messageOf } from "../../core/errors/error.js";
import type { CommandContext } from "../../core/plugin/commands.js";
import { AuthenticationServiceService } from "../../proto/gen/mezite/authentication/v1/authentication.js";
import { meziteFolder } from "../cluster-connection.js";
import { ProfileStore } from "./profile-store.js";
import { chosenProfile } from "./user-connection.js";

/** `msh logout`: ends the session on the server when that can be reached, and removes the keys in any case. */
export async function logOut(context: CommandContext): Promise<void> {
  const store = new ProfileStore(meziteFolder(context));
  const profile = chosenProfile(context, store);
  try {
    const client = await context.rpc(AuthenticationServiceService);
    await client.logout({}, { signal: context.signal });
  } catch (error) {
    // A session that the server does not know any more is as good as ended.
    if (!isMezError(error, "UNAUTHENTICATED", "INVALID_CREDENTIALS")) {
      context.output.note(
        `the session could not be ended on the server, and ends there by itself at ${profile.sessionExpiresAt.toISOString()}: ${messageOf(error)}`,
      );
    }
  } finally {
    store.remove(profile.cluster);
  }
  context.output.note(`logged out ${profile.user} from cluster ${profile.cluster}`);
}
