// The classic violations of the protocol: what a server sends, and what a client sends that breaks the same rule.

const ascii = text => Array.from(text, character => character.charCodeAt(0));
const KEY = [0x37, 0xfa, 0x21, 0x3d];
/** 17 MiB of zeros, compressed: the tables of one DEFLATE block, and references to the byte before. */
const BOMB = [0xec, 0xc1, 1, 1, 0, 0, 0, 0x80, 0x90, 0xfe, 0xaf, 0xee, 8, 0x0a, ...new Array(17250).fill(0), 6];

/** A frame as each end sends it: its first byte, its payload, and what is wrong with the rest. */
function frame(first, payload = "", { claimed, bits, isMaskWrong } = {}) {
  const bytes = typeof payload === "string" ? ascii(payload) : payload;
  const length = claimed ?? bytes.length;
  const extended = { 16: 2, 64: 8 }[bits ?? (length > 0xffff ? 64 : length > 125 ? 16 : 0)] ?? 0;
  const number = Array.from({ length: extended }, (_, at) => Number(BigInt(length) >> BigInt(8 * (extended - 1 - at)) & 255n));
  const short = { 0: Number(length), 2: 126, 8: 127 }[extended];
  return isClient => isClient !== Boolean(isMaskWrong)
    ? [first, 0x80 | short, ...number, ...KEY, ...bytes.map((byte, at) => byte ^ KEY[at % 4])]
    : [first, short, ...number, ...bytes];
}

const FRAMES = [
  ["Text that is not UTF-8", "RFC 6455 8.1", frame(0x81, "caf\xe9")],
  ["UTF-8 that breaks at a fragment’s border", "RFC 6455 8.1", frame(0x01, "\xe2\x82"), frame(0x80, "(")],
  ["Wrong masking", "RFC 6455 5.1", frame(0x81, "mask", { isMaskWrong: true })],
  ["A ping of 126 bytes", "RFC 6455 5.5", frame(0x89, "p".repeat(126))],
  ["A ping in fragments", "RFC 6455 5.5", frame(0x09, "p"), frame(0x80, "q")],
  ["A reserved bit", "RFC 6455 5.2", frame(0xa1, "RSV2")],
  ["A compressed ping", "RFC 7692 6.1", frame(0xc9, "RSV1")],
  ["A reserved opcode for data", "RFC 6455 5.2", frame(0x83, "3")],
  ["A reserved opcode for control", "RFC 6455 5.2", frame(0x8b, "11")],
  ["A continuation of nothing", "RFC 6455 5.4", frame(0x80, "of nothing")],
  ["A message within a message", "RFC 6455 5.4", frame(0x01, "one"), frame(0x81, "two")],
  ["Close with code 1005", "RFC 6455 7.4.1", frame(0x88, "\x03\xed")],
  ["Close with code 999", "RFC 6455 7.4", frame(0x88, "\x03\xe7")],
  ["Close with half a code", "RFC 6455 5.5.1", frame(0x88, "\x03")],
  ["A close reason that is not UTF-8", "RFC 6455 5.5.1", frame(0x88, "\x03\xe8\xff")],
  ["Text after Close", "RFC 6455 5.5.1", frame(0x88, "\x03\xe8last words"), frame(0x81, "more")],
  ["A length of 5 in 16 bits", "RFC 6455 5.2", frame(0x81, "Hello", { bits: 16 })],
  ["A length of 5 in 64 bits", "RFC 6455 5.2", frame(0x81, "Hello", { bits: 64 })],
  ["A length of 2^63", "RFC 6455 5.2", frame(0x82, "", { claimed: 1n << 63n, bits: 64 })],
  ["A promise of 4 EiB", "RFC 6455 10.4", frame(0x82, "", { claimed: 1n << 62n, bits: 64 })],
  ["Broken DEFLATE", "RFC 7692 7.2.2", frame(0xc1, "\xff".repeat(8))],
  ["A bomb: 17 KiB that inflate to 17 MiB", "RFC 6455 10.4", frame(0xc2, BOMB)],
];

const REQUEST = {
  first: "GET /ws HTTP/1.1", host: "Host: localhost", upgrade: "Upgrade: websocket", connection: "Connection: Upgrade",
  version: "Sec-WebSocket-Version: 13", key: "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
  extensions: "Sec-WebSocket-Extensions: permessage-deflate",
};
const RESPONSE = {
  first: "HTTP/1.1 101 Switching Protocols", upgrade: "Upgrade: websocket", connection: "Connection: Upgrade",
  accept: "Sec-WebSocket-Accept: {accept}", extensions: "Sec-WebSocket-Extensions: permessage-deflate",
};
const head = (lines, changes = {}) => ascii(`${Object.values({ ...lines, ...changes }).filter(line => line).join("\r\n")}\r\n\r\n`);

/** Changed lines of the response, and of the request that breaks the same rule, if there is one. */
const HANDSHAKES = [
  ["A wrong Sec-WebSocket-Accept", "RFC 6455 4.1", { accept: "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" }, { key: "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j" }],
  ["No Sec-WebSocket-Accept", "RFC 6455 4.1", { accept: "" }, { key: "" }],
  ["Two of Sec-WebSocket-Accept", "RFC 6455 4.1", { accept: "Sec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" }, { key: `${REQUEST.key}\r\n${REQUEST.key}` }],
  ["No Upgrade", "RFC 6455 4.1", { upgrade: "" }, null],
  ["An Upgrade to another protocol", "RFC 6455 4.1", { upgrade: "Upgrade: h2c" }, null],
  ["No Connection", "RFC 6455 4.1", { connection: "" }, { connection: "" }],
  ["A subprotocol that was not offered", "RFC 6455 4.1", { protocol: "Sec-WebSocket-Protocol: unheard-of" }, null],
  ["An extension that was not offered", "RFC 6455 4.1", { extensions: "Sec-WebSocket-Extensions: unheard-of" }, null],
  ["A window of 20 bits", "RFC 7692 7.1.2", { extensions: "Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=20" }, null],
  ["The status 200", "RFC 6455 4.1", { first: "HTTP/1.1 200 OK\r\nContent-Length: 0" }, { first: "POST /ws HTTP/1.1" }],
  ["A redirect", "RFC 6455 4.1", { first: "HTTP/1.1 302 Found\r\nLocation: /ws\r\nContent-Length: 0" }, null],
  ["HTTP/1.0", "RFC 6455 4.1", { first: "HTTP/1.0 101 Switching Protocols" }, { first: "GET /ws HTTP/1.0" }],
  ["A space before a colon", "RFC 9112 5.1", { upgrade: "Upgrade : websocket" }, { host: "Host : localhost" }],
];

/** Name, rule, and the bytes that the server sends; those that the client sends; whether the opening handshake is at fault. */
export const VIOLATIONS = [
  ...FRAMES.map(([name, rule, ...frames]) => ({
    name, rule, isHandshake: false,
    server: [...head(RESPONSE), ...frames.flatMap(frame => frame(false))],
    client: [...head(REQUEST), ...frames.flatMap(frame => frame(true))],
  })),
  ...HANDSHAKES.map(([name, rule, response, request]) => ({
    name, rule, isHandshake: true, server: head(RESPONSE, response), client: request && head(REQUEST, request),
  })),
];
