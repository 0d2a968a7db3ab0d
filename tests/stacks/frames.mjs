// WebSocket frames for the tests: written and read by hand, so that they share nothing with the library.
import { randomBytes } from "node:crypto";

export const TEXT = 1, BINARY = 2, CLOSE = 8, PING = 9, PONG = 10;

export function frame(opcode, payload, { masked = true, rsv1 = false } = {}) {
  payload = Buffer.from(payload);
  const length = payload.length;
  const head = [0x80 | (rsv1 ? 0x40 : 0) | opcode];
  const mask = masked ? 0x80 : 0;
  if (length < 126) head.push(mask | length);
  else if (length < 65536) head.push(mask | 126, length >> 8, length & 255);
  else head.push(mask | 127, 0, 0, 0, 0, length >>> 24, (length >> 16) & 255, (length >> 8) & 255, length & 255);
  if (!masked) return Buffer.concat([Buffer.from(head), payload]);
  const key = randomBytes(4);
  for (let i = 0; i < length; i++) payload[i] ^= key[i & 3];
  return Buffer.concat([Buffer.from(head), key, payload]);
}

export const close = (code, reason = "", options = {}) =>
  frame(CLOSE, Buffer.concat([Buffer.from([code >> 8, code & 255]), Buffer.from(reason)]), options);

/** Collects bytes, and returns the whole frames among them. Rejects frames that are masked other than `masked`. */
export class Reader {
  #bytes = Buffer.alloc(0);

  constructor({ masked = false } = {}) {
    this.masked = masked;
  }

  get isBetweenFrames() {
    return this.#bytes.length === 0;
  }

  push(more) {
    this.#bytes = Buffer.concat([this.#bytes, more]);
    const frames = [];
    for (;;) {
      const bytes = this.#bytes;
      if (bytes.length < 2) return frames;
      let length = bytes[1] & 127, at = 2;
      if (length === 126) [length, at] = [bytes.length < 4 ? Infinity : bytes.readUInt16BE(2), 4];
      if (length === 127) [length, at] = [bytes.length < 10 ? Infinity : Number(bytes.readBigUInt64BE(2)), 10];
      if (Boolean(bytes[1] & 0x80) !== this.masked) throw new Error("wrongly masked");
      const key = bytes.subarray(at, at + 4);
      if (this.masked) at += 4;
      if (bytes.length < at + length) return frames;
      const payload = Buffer.from(bytes.subarray(at, at + length));
      if (this.masked) for (let i = 0; i < length; i++) payload[i] ^= key[i & 3];
      frames.push({ opcode: bytes[0] & 15, rsv1: Boolean(bytes[0] & 0x40), fin: Boolean(bytes[0] & 0x80), payload });
      this.#bytes = bytes.subarray(at + length);
    }
  }
}
