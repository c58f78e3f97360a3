import { randomInt } from "node:crypto";
import { MezError } from "../../core/errors/error.js";
import { Secret } from "../../core/plugin/secret.js";
import { MAX_PASSWORD_CHARACTERS } from "./password-hash.js";

/**
 * Length counts, composition does not (NIST SP 800-63B, 3.1.1.2): no demand for digits or signs, but nothing that is
 * guessed first either.
 * @throws {MezError} `PASSWORD_REFUSED`
 */
export function checkPassword(userName: string, password: Secret, minLength: number): void {
  const text = password.expose();
  const length = [...text].length;
  if (length < minLength) throw refused(`it has ${length} characters; at least ${minLength} are needed`);
  if (length > MAX_PASSWORD_CHARACTERS) throw refused(`it is longer than ${MAX_PASSWORD_CHARACTERS} characters`);
  if (/\p{Cc}/u.test(text)) throw refused("it holds control characters");
  const plain = text.toLowerCase();
  if (new Set(plain).size < 5) throw refused("it repeats fewer than 5 different characters");
  if (plain.replaceAll(userName.toLowerCase(), "").length < minLength / 2) throw refused("it is little more than the user name");
  if (COMMON_BEGINNINGS.some((common) => plain.startsWith(common) && /^[\d\W]*$/.test(plain.slice(common.length)))) {
    throw refused("it is among the first that are tried");
  }
}

/** 24 characters without look-alikes: 137 bits. */
export function generatePassword(): Secret {
  return new Secret(Array.from({ length: 24 }, () => ALPHABET[randomInt(ALPHABET.length)]).join(""));
}

// --- internal ---

const ALPHABET = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";
const COMMON_BEGINNINGS = [
  "password",
  "passwordpassword",
  "qwertyuiop",
  "qwerty",
  "administrator",
  "welcome",
  "letmein",
  "changeme",
  "iloveyou",
  "mezite",
  "1234567890",
];

function refused(why: string): MezError {
  return new MezError("PASSWORD_REFUSED", `the new password is refused: ${why}`);
}
