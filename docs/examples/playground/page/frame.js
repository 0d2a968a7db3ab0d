// What the bytes of a frame's header mean (RFC 6455 5.2), which rules they obey, and which they break.

import { hex } from "./dom.js";

export const IN = 0; // from the browser to the server
const OPCODES = { 0: "continuation", 1: "text", 2: "binary", 8: "close", 9: "ping", 10: "pong" };

/** The fields of a frame's header. */
export function fields(frame) {
  const { header } = frame;
  const opcode = header[0] & 0x0f;
  const isMasked = (header[1] & 0x80) !== 0;
  const short = header[1] & 0x7f;
  const view = new DataView(header.buffer, header.byteOffset, header.byteLength);
  const extended = short === 126 ? 16 : short === 127 ? 64 : 0;
  const length = extended === 16 ? view.getUint16(2) : extended === 64 ? Number(view.getBigUint64(2)) : short;
  return {
    fin: header[0] >> 7, rsv1: header[0] >> 6 & 1, rsv2: header[0] >> 5 & 1, rsv3: header[0] >> 4 & 1, opcode,
    name: OPCODES[opcode] ?? `opcode ${opcode}`, isControl: opcode >= 8, isMasked, short, extended, length,
    key: isMasked ? header.slice(-4) : null,
  };
}

/** The first bytes of the payload as its sender meant it. */
export function unmasked({ payload }, { key }, size = 128) {
  const front = payload.subarray(0, size);
  return key ? front.map((byte, at) => byte ^ key[at % 4]) : front;
}

/** One row for each field: name, value, meaning, rule, and whether the rule is broken. */
export function rules(frame, isDeflating) {
  const f = fields(frame);
  const isFromClient = frame.way === IN;
  const isShortest = f.extended === 0 || (f.extended === 16 ? f.length > 125 : f.length > 0xffff);
  const mayCompress = isDeflating && (f.opcode === 1 || f.opcode === 2);
  const lengthName = { 0: "in 7 bits", 16: "126: the next 16 bits have it", 64: "127: the next 64 bits have it" }[f.extended];
  return [
    ["FIN", f.fin, f.fin ? "the last frame of its message" : "more fragments follow",
      "5.5: control frames are never fragmented", f.isControl && !f.fin],
    ["RSV1", f.rsv1, f.rsv1 ? "the message is compressed" : "the message is not compressed, or continues",
      isDeflating ? "RFC 7692 6: only on the first frame of a message" : "5.2: 0, since no extension was negotiated", f.rsv1 && !mayCompress],
    ["RSV2, RSV3", `${f.rsv2}${f.rsv3}`, "no meaning", "5.2: 0, since no extension uses them", f.rsv2 || f.rsv3],
    ["opcode", `0x${hex(f.opcode, 1)}`, f.name, "5.2: 3 to 7 and 0xb to 0xf are reserved", OPCODES[f.opcode] === undefined],
    ["MASK", f.isMasked ? 1 : 0, f.isMasked ? "a masking key follows" : "the payload is as it is",
      isFromClient ? "5.1: a client masks every frame" : "5.1: a server masks no frame", f.isMasked !== isFromClient],
    ["length", f.length.toLocaleString("en"), lengthName,
      f.isControl ? "5.5: at most 125 in a control frame" : "5.2: in the fewest bits, below 2^63",
      !isShortest || f.length >= 2 ** 63 || (f.isControl && f.length > 125)],
    ...(f.key ? [["masking key", Array.from(f.key, byte => hex(byte)).join(" "), "new and unpredictable for each frame",
      "5.3: byte i of the payload is XORed with byte i mod 4 of the key", false]] : []),
  ];
}

/** Where a piece of UTF-8 ends: the bytes of the last character that it has, and those that it needs. */
export function utf8Border(bytes) {
  for (let back = 1; back <= Math.min(3, bytes.length); back += 1) {
    const byte = bytes[bytes.length - back];
    if ((byte & 0xc0) !== 0x80) {
      const needed = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1;
      return needed > back ? { has: back, needed } : null;
    }
  }
  return null;
}

const decoder = new TextDecoder();

/** A short text for a payload. */
export function preview(bytes, f) {
  if (f.opcode === 8 && bytes.length >= 2) return `${bytes[0] << 8 | bytes[1]} ${decoder.decode(bytes.subarray(2, 60))}`;
  const front = bytes.subarray(0, 48);
  // Text, or what looks like it.
  if (f.opcode === 1 || front.every(byte => byte >= 0x20 && byte < 0x7f)) return decoder.decode(front).replace(/[\u0000-\u001f]/g, "·");
  return Array.from(front.subarray(0, 16), byte => hex(byte)).join(" ");
}
