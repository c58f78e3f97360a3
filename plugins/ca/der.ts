/** Writers of DER values, as far as X.509 certificates need them. @see ITU-T X.690, 10 and 11 */

/** Frames `parts`, joined, with a tag and their length. */
export function tagged(tag: number, ...parts: readonly Buffer[]): Buffer {
  let length = 0;
  for (const part of parts) length += part.length;
  return Buffer.concat([header(tag, length), ...parts]);
}

/** SEQUENCE: the parts in their order (X.690, 8.9). */
export function sequence(...parts: readonly Buffer[]): Buffer {
  return tagged(0x30, ...parts);
}

/** SET of the parts, which the caller has put in order (X.690, 10.3). */
export function set(...parts: readonly Buffer[]): Buffer {
  return tagged(0x31, ...parts);
}

/** @param magnitude Unsigned, big endian. */
export function integer(magnitude: Buffer): Buffer {
  let start = 0;
  while (start < magnitude.length - 1 && magnitude[start] === 0) start++;
  const digits = magnitude.subarray(start);
  const needsSign = digits.length === 0 || (digits[0] ?? 0) >= 0x80;
  return needsSign ? tagged(0x02, Buffer.of(0), digits) : tagged(0x02, digits);
}

/** @param dotted E.g. `2.5.29.15`. */
export function objectIdentifier(dotted: string): Buffer {
  const [first = 0, second = 0, ...rest] = dotted.split(".").map(Number);
  return tagged(0x06, Buffer.from([first * 40 + second, ...rest.flatMap(base128)]));
}

/** BOOLEAN, true as 0xff (X.690, 11.1). */
export function boolean(value: boolean): Buffer {
  return tagged(0x01, Buffer.of(value ? 0xff : 0));
}

/** OCTET STRING (X.690, 8.7). */
export function octetString(content: Buffer): Buffer {
  return tagged(0x04, content);
}

/** @param unusedBits Of the last byte, 0 to 7. */
export function bitString(content: Buffer, unusedBits = 0): Buffer {
  return tagged(0x03, Buffer.of(unusedBits), content);
}

/** UTF8String (X.690, 8.23). */
export function utf8String(text: string): Buffer {
  return tagged(0x0c, Buffer.from(text, "utf8"));
}

/** UTCTime until 2049, GeneralizedTime after. @see RFC 5280, 4.1.2.5 */
export function time(moment: Date): Buffer {
  const digits = moment
    .toISOString()
    .replace(/\.\d+Z$/, "Z")
    .replace(/[-:T]/g, "");
  return moment.getUTCFullYear() < 2050
    ? tagged(0x17, Buffer.from(digits.slice(2), "latin1"))
    : tagged(0x18, Buffer.from(digits, "latin1"));
}

/** The contents of the elements that stand one after another in `bytes`, which must be well-formed DER. */
export function contentsOf(bytes: Buffer): readonly Buffer[] {
  const contents: Buffer[] = [];
  for (let at = 0; at < bytes.length; ) {
    const short = bytes.readUInt8(at + 1);
    const lengthBytes = short < 0x80 ? 0 : short - 0x80;
    const length = lengthBytes === 0 ? short : bytes.readUIntBE(at + 2, lengthBytes);
    const start = at + 2 + lengthBytes;
    contents.push(bytes.subarray(start, start + length));
    at = start + length;
  }
  return contents;
}

// --- internal ---

function header(tag: number, length: number): Buffer {
  if (length < 0x80) return Buffer.of(tag, length);
  if (length < 0x100) return Buffer.of(tag, 0x81, length);
  if (length < 0x10000) return Buffer.of(tag, 0x82, length >> 8, length & 0xff);
  return Buffer.of(tag, 0x83, length >> 16, (length >> 8) & 0xff, length & 0xff);
}

function base128(value: number): readonly number[] {
  const digits = [value & 0x7f];
  for (let rest = value >>> 7; rest > 0; rest >>>= 7) digits.unshift((rest & 0x7f) | 0x80);
  return digits;
}
