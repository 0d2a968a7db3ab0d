// The list of all frames. It makes elements only for the rows in view, so that 100,000 frames stay fast.

import { $, el } from "./dom.js";
import { IN, fields, preview, unmasked } from "./frame.js";
import { store } from "./store.js";
import { detail } from "./detail.js";

const ROW_PIXELS = 26;

const body = $("log");
const space = body.appendChild(el("div", "log-space"));
space.setAttribute("role", "presentation");
let rows = store.frames;
let words = [];
let isPaused = false;
let lastShown = Infinity; // the number of the last frame that was there when the list was paused
let chosen = null;
let isAsked = false;

/** Draws the list again before the next picture. */
export function refresh() {
  if (isAsked) return;
  isAsked = true;
  requestAnimationFrame(() => { isAsked = false; draw(); });
}

/** Adds frames behind the others. */
export function add(frames) {
  const isAtEnd = body.scrollHeight - body.scrollTop - body.clientHeight < 2 * ROW_PIXELS;
  const oldFirst = store.first;
  store.add(frames);
  if (rows !== store.frames) {
    if (oldFirst !== store.first) rows = rows.filter(row => row.id >= store.first);
    for (const frame of isPaused ? [] : frames) if (matches(frame)) rows.push(frame);
  }
  if (!isPaused) follow = isAtEnd;
  if (chosen === null) choose(rows.find(row => row.way === IN && row.number === frames[0].number) ?? null, false);
  refresh();
}
let follow = true;

function draw() {
  const total = rows.length;
  space.style.height = `${total * ROW_PIXELS}px`;
  if (follow && !isPaused) { body.scrollTop = total * ROW_PIXELS; follow = false; }
  const first = Math.max(0, Math.floor(body.scrollTop / ROW_PIXELS) - 4);
  const last = Math.min(total, first + Math.ceil(body.clientHeight / ROW_PIXELS) + 8);
  const nodes = [];
  for (let at = first; at < last; at += 1) nodes.push(row(rows[at], at, total));
  space.replaceChildren(...nodes);
  const isChosenThere = chosen && nodes.some(node => node.id === `frame-${chosen.id}`);
  if (isChosenThere) body.setAttribute("aria-activedescendant", `frame-${chosen.id}`);
  else body.removeAttribute("aria-activedescendant");
  const all = store.frames.length.toLocaleString("en");
  $("log-count").textContent = store.frames.length === 0 ? "no frames"
    : total === store.frames.length ? `${all} frames` : `${total.toLocaleString("en")} of ${all} frames`;
}

function row(frame, at, total) {
  const f = fields(frame);
  const arrow = frame.way === IN ? "→ in" : "← out";
  const marks = `${f.fin ? "" : " …"}${f.rsv1 ? " z" : ""}`;
  const node = el("div", `log-row ${frame.way === IN ? "in" : "out"} ${f.name}`,
    el("span", "", `${frame.id}`), el("span", "", `#${frame.number}`), el("span", "", (frame.time / 1000).toFixed(1)),
    el("span", "", arrow), el("span", "kind", f.name + marks), el("span", "", f.length.toLocaleString("en")),
    el("span", "payload", shortPayload(frame, f)));
  node.id = `frame-${frame.id}`;
  node.style.top = `${at * ROW_PIXELS}px`;
  node.setAttribute("role", "option");
  node.setAttribute("aria-selected", frame === chosen);
  node.setAttribute("aria-posinset", at + 1);
  node.setAttribute("aria-setsize", total);
  return node;
}

/** The payload in a few characters; of a compressed message, what it was compressed from. */
function shortPayload(frame, f) {
  if (!frame.isCompressed) return preview(unmasked(frame, f), f);
  const content = store.content(frame);
  return content ? preview(content.front, f) : "compressed";
}

/** The content of a compressed message has come, perhaps later than its frames. */
export function noteContent() {
  if (words.length === 0) return refresh();
  clearTimeout(noteContent.timer);
  noteContent.timer = setTimeout(search, 200);
}

function choose(frame, scrolls) {
  if (!frame) return;
  chosen = frame;
  detail(frame);
  if (scrolls) {
    const top = rows.indexOf(frame) * ROW_PIXELS;
    if (top < body.scrollTop) body.scrollTop = top;
    if (top + ROW_PIXELS > body.scrollTop + body.clientHeight) body.scrollTop = top + ROW_PIXELS - body.clientHeight;
  }
  refresh();
}

function matches(frame) {
  const f = fields(frame);
  const text = `${f.name} ${frame.way === IN ? "in →" : "out ←"} #${frame.number} ${f.isMasked ? "masked" : "unmasked"} ${f.fin ? "" : "fragment"} ${f.rsv1 ? "compressed" : ""} ${shortPayload(frame, f)}`.toLowerCase();
  return words.every(word => text.includes(word));
}

function search() {
  words = $("search").value.toLowerCase().split(/\s+/).filter(word => word);
  rows = words.length === 0 && !isPaused ? store.frames : store.frames.filter(frame => frame.id <= lastShown && matches(frame));
  refresh();
}

// Rows are made anew while frames come, so that the press and the release of a click may meet different ones.
for (const name of ["mousedown", "click"]) {
  body.addEventListener(name, event => {
    const id = Number(event.target.closest(".log-row")?.id.slice("frame-".length));
    const frame = store.frames[id - store.first];
    if (frame && frame !== chosen) choose(frame, true);
  });
}
body.addEventListener("scroll", refresh, { passive: true });
addEventListener("resize", refresh);
$("search").addEventListener("input", search);
$("log-pause").addEventListener("click", event => {
  isPaused = !isPaused;
  lastShown = isPaused ? store.first + store.frames.length - 1 : Infinity;
  event.target.setAttribute("aria-pressed", isPaused);
  search();
});
$("log-clear").addEventListener("click", () => { store.clear(); chosen = null; search(); $("detail").replaceChildren(); });
body.addEventListener("keydown", event => {
  const page = Math.floor(body.clientHeight / ROW_PIXELS);
  const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity };
  const step = steps[event.key];
  if (step === undefined || rows.length === 0) return;
  event.preventDefault();
  const at = rows.indexOf(chosen);
  choose(rows[at < 0 && step === 1 ? 0 : Math.min(rows.length - 1, Math.max(0, at + step))], true);
});
for (const [id, way, name] of [["export-client", 0, "client"], ["export-server", 1, "server"]]) {
  $(id).addEventListener("click", () => {
    if (!chosen || !store.hasBeginning(chosen.number, way)) {
      $("log-count").textContent = chosen ? "the first frames of this connection are gone: connect anew to export" : "choose a frame of the connection";
      return;
    }
    const link = el("a", "");
    link.href = URL.createObjectURL(store.capture(chosen.number, way));
    link.download = `capture.${name}`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  });
}
