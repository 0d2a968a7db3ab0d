// One frame in full: its header bit by bit, the rule of each field, the payload before and after masking, the message
// to which it belongs, and what that was compressed from.

import { $, bytes, el, hex } from "./dom.js";
import { IN, fields, preview, rules, unmasked, utf8Border } from "./frame.js";
import { figure } from "./figure.js";
import { store } from "./store.js";

const SHOWN_BYTES = 64;
export function detail(frame) {
  const f = fields(frame);
  const rows = rules(frame, store.isDeflating(frame.number));
  const breaks = new Set(rows.filter(row => row[4]).map(row => row[0]));
  const way = frame.way === IN ? "from the browser to the server" : "from the server to the browser";
  const scroll = el("div", "scroll", figure(frame, f, breaks));
  scroll.tabIndex = 0;
  scroll.setAttribute("role", "region");
  scroll.setAttribute("aria-label", "Bits of the frame");
  $("detail").replaceChildren(
    el("h3", "", `Frame ${frame.id}: ${f.name}, ${way}, connection ${frame.number}`),
    scroll, ruleTable(rows), ...payload(frame, f), ...message(frame, f));
}

function ruleTable(rows) {
  const table = el("table", "rules", el("thead", "", el("tr", "", ...["Field", "Value", "Meaning", "Rule of RFC 6455"].map(name => {
    const head = el("th", "", name);
    head.scope = "col";
    return head;
  }))));
  table.append(el("tbody", "", ...rows.map(([name, value, meaning, rule, isBroken]) => el("tr", isBroken ? "broken" : "",
    el("td", "", name), el("td", "", el("code", "", `${value}`)), el("td", "", meaning), el("td", "", `${isBroken ? "broken: " : ""}${rule}`)))));
  return table;
}

function payload(frame, f) {
  if (frame.payload.length === 0) return [el("p", "hint", f.length === 0 ? "The payload is empty." : "The connection ended before the payload came.")];
  const wire = frame.payload.subarray(0, SHOWN_BYTES);
  const plain = unmasked({ payload: wire }, f);
  const line = (label, values) => el("div", "", el("span", "label", label), el("code", "", Array.from(values, byte => hex(byte)).join(" ")));
  const lines = f.key
    ? [line("on the wire", wire), line("⊕ masking key", wire.map((_, at) => f.key[at % 4])), line("= payload", plain)]
    : [line("payload", plain)];
  const dump = el("div", "dump scroll", ...lines);
  dump.tabIndex = 0;
  dump.setAttribute("role", "region");
  dump.setAttribute("aria-label", "Payload in hexadecimal");
  const rest = f.length - wire.length;
  return [el("h4", "", "Payload"), dump,
    rest > 0 ? el("p", "hint", `… and ${rest.toLocaleString("en")} bytes more, of which the page has ${(frame.payload.length - wire.length).toLocaleString("en")}`) : null,
    !frame.isCompressed ? el("p", "quote", preview(unmasked(frame, f), f)) : null].filter(node => node);
}

function message(frame, f) {
  if (f.isControl) return [];
  const frames = store.messageOf(frame);
  const nodes = [];
  if (frames.length > 1) {
    const kind = fields(frames[0]).name;
    const isPlainText = kind === "text" && !frames[0].isCompressed;
    const parts = [];
    let border = new Uint8Array(0);
    for (const [at, part] of frames.slice(0, 30).entries()) {
      const g = fields(part);
      const plain = unmasked(part, g, part.payload.length);
      let note = "";
      if (isPlainText && plain.length < g.length) {
        border = new Uint8Array(0); // the page has not all of it
      } else if (isPlainText) {
        border = Uint8Array.of(...border.subarray(-3), ...plain.subarray(-4));
        const cut = utf8Border(border);
        note = cut ? `; the border cuts a character: ${cut.has} of ${cut.needed} bytes` : "; UTF-8 is whole at the border";
      }
      const text = isPlainText ? ` “${preview(plain, { opcode: 1 })}”` : "";
      parts.push(el("li", part === frame ? "this" : "", `${at + 1}. frame ${part.id}: ${bytes(g.length)}${text}${note}`));
    }
    if (frames.length > 30) parts.push(el("li", "", `… ${frames.length - 30} more`));
    nodes.push(el("h4", "", `The message, put together from ${frames.length} frames`), el("ol", "parts", ...parts));
  }
  const content = frame.isCompressed && store.content(frame);
  if (content) {
    const wire = frames.reduce((sum, part) => sum + fields(part).length, 0);
    const kind = fields(frames[0] ?? frame).opcode;
    nodes.push(el("h4", "", "Compressed from"), el("p", "", `${bytes(content.size)} became ${bytes(wire)} on the wire.`),
      el("p", "quote", kind === 1 ? new TextDecoder().decode(content.front.subarray(0, 400), { stream: true }) : preview(content.front, { opcode: 2 })));
  }
  return nodes;
}
