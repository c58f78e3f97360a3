import { randomBytes } from "node:crypto";
import { deriveJoinTokenKeys, generateJoinToken } from "../../../core/join/join-token-keys.js";
import { CLIENT_NONCE_BYTES, clientStatement, sha256 } from "../../../core/join/join-transcript.js";
import { systemClock } from "../../../core/time/clock.js";
import { TokenProof } from "../../../proto/gen/mezite/join/v1/join.js";
import { testJoinMethod } from "../../../test/contracts/join-method.js";
import { openTestDatabase } from "../../../test/fixtures/database.js";
import { CreateJoinTokens } from "../../tokens/migrations/001-join-tokens.js";
import { TOKEN_ENTITIES } from "../../tokens/token-repository.js";
import { TokenService } from "../../tokens/token-service.js";
import { ServerNonces } from "./server-nonce.js";
import { TokenJoinServer } from "./token-join-server.js";

const ADMIN = { name: "root-admin", roles: ["admin"], clientAddress: "192.0.2.7" };
const FINGERPRINT = sha256(Buffer.from("certificate"));

testJoinMethod("token", async () => {
  const opened = await openTestDatabase({
    entities: TOKEN_ENTITIES,
    migrations: [{ name: "001-join-tokens", class: CreateJoinTokens }],
  });
  const tokens = new TokenService(opened.database, systemClock);
  const method = new TokenJoinServer({
    ...{ database: opened.database, tokens, nonces: new ServerNonces(systemClock), allowWithoutFingerprint: false },
    trustBundle: () => Buffer.from("certificates"),
    decoy: deriveJoinTokenKeys(generateJoinToken()),
  });
  return {
    ...{ method, database: opened.database, serverFingerprint: FINGERPRINT },
    prove: async (request) => {
      const keys = deriveJoinTokenKeys((await tokens.create({ roles: ["node"] }, ADMIN)).secret);
      const clientNonce = randomBytes(CLIENT_NONCE_BYTES);
      const begun = await method.begin({ tokenId: keys.id, clientNonce, withoutFingerprint: false }, FINGERPRINT);
      const { serverNonce } = begun;
      const trustBundleHash = sha256(begun.trustBundle);
      const transcript = { tokenId: keys.id, clientNonce, serverNonce, fingerprint: FINGERPRINT, trustBundleHash };
      const signature = keys.sign(clientStatement(transcript, sha256(request)));
      const proof = { tokenId: keys.id, clientNonce, serverNonce, trustBundleHash, withoutFingerprint: false, signature };
      return TokenProof.encode(proof).finish();
    },
    close: () => opened.close(),
  };
});
