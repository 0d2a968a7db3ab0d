// Draws a frame as the figure of RFC 6455 5.2: 32 bits in a row, each field with its bits.

import { el } from "./dom.js";

const ROW = 32;
const MAX_PAYLOAD_BYTES = 8;

export function figure(frame, f, breaks) {
  const all = [...frame.header, ...frame.payload.subarray(0, MAX_PAYLOAD_BYTES)];
  const bits = all.map(byte => byte.toString(2).padStart(8, "0")).join("");
  const cells = [
    ["FIN", 1], ["RSV1", 1], ["RSV2", 1], ["RSV3", 1], ["opcode", 4], ["MASK", 1], ["length", 7],
    ...(f.extended ? [[`extended length, ${f.extended} bits`, f.extended, "length"]] : []),
    ...(f.key ? [["masking key", 32]] : []),
    ...(frame.payload.length ? [[f.key ? "masked payload" : "payload", 8 * Math.min(frame.payload.length, MAX_PAYLOAD_BYTES), "payload"]] : []),
  ];
  const grid = el("div", "figure");
  grid.setAttribute("role", "img");
  grid.setAttribute("aria-label", `The first bits of the frame: ${bits.slice(0, 16)}. The table below explains them.`);
  for (let bit = 0; bit < ROW; bit += 1) grid.append(place(el("span", bit % 8 === 0 ? "tick byte" : "tick", `${bit}`), bit, 1, 1));
  let at = 0;
  for (const [name, size, group = name] of cells) {
    for (let left = size; left > 0;) {
      const length = Math.min(left, ROW - at % ROW);
      const label = left === size ? name : "…";
      const broken = breaks.has(group) || breaks.has(/^RSV[23]/.test(group) ? "RSV2, RSV3" : group);
      const cell = el("span", `cell ${group.replace(/\W|\d/g, "").toLowerCase()}${broken ? " broken" : ""}`,
        el("b", "", label), el("code", "", groupBits(bits.slice(at, at + length), at)));
      grid.append(place(cell, at % ROW, length, 2 + Math.floor(at / ROW)));
      at += length;
      left -= length;
    }
  }
  return grid;
}

/** Bits with a space between bytes. */
function groupBits(bits, at) {
  return [...bits].map((bit, index) => (index > 0 && (at + index) % 8 === 0 ? " " : "") + bit).join("");
}

function place(cell, column, columns, row) {
  cell.style.gridColumn = `${column + 1} / span ${columns}`;
  cell.style.gridRow = `${row}`;
  return cell;
}
