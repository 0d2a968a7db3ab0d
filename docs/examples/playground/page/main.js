// Puts the page together: what the server tells goes to the part of the page that shows it.

import { $, bytes, el, put } from "./dom.js";
import { inspector, tab } from "./inspector.js";
import { connect, show, subject } from "./browser.js";
import * as attacks from "./attacks.js";
import * as handshake from "./handshake.js";
import * as log from "./log.js";
import * as machine from "./machine.js";
import * as room from "./room.js";
import { Chart } from "./chart.js";
import { store } from "./store.js";

const decoder = new TextDecoder();
const on = (name, react) => inspector.addEventListener(name, ({ detail }) => react(detail.body, detail.number, detail.time, detail));

on("up", () => {
  $("banner").hidden = true;
  connect();
});
on("down", () => {
  $("banner").textContent = "The server is gone. The page connects again as soon as it is back.";
  $("banner").hidden = false;
});
on("head", (head, number) => {
  handshake.noteHead(number, head);
  // The connection of the left column is the one without an attack and not of the room.
  const line = head.way === 0 ? decoder.decode(head.bytes.subarray(0, 300)).split("\r\n")[0] : "";
  const isForeign = head.way === 0 && /\r\norigin: null\r\n/i.test(decoder.decode(head.bytes));
  if (/^GET \/ws\?[^ ]*&subject=1 /.test(line) && !isForeign) {
    subject.number = number;
    $("order-error").textContent = "";
  }
});
on("open", (config, number) => {
  const [request, response] = (store.heads.get(number) ?? []).map(head => decoder.decode(head ?? new Uint8Array()));
  const deflate = /\r\nsec-websocket-extensions: *permessage-deflate;? *(.*)/i.exec(response)?.[1] ?? null;
  store.noteOpen(number, deflate !== null);
  const attack = /[?&]attack=(\d+)/.exec(request);
  if (attack) attacks.noteOpen(Number(attack[1]), number);
  if (number === subject.number) machine.showOpen(config, deflate);
});
on("state", (state, number) => { if (number === subject.number) machine.noteState(state, inspector.wireBytes(number)); });
on("closed", (closed, number) => {
  attacks.noteClosed(number, closed);
  if (number === subject.number) machine.showClosed(closed);
});
on("content", (content, number) => {
  store.addContent(number, content);
  log.noteContent();
});
on("news", room.showNews);
on("refused", text => { $("order-error").textContent = text; });
on("lost", () => { $("order-error").textContent = "The page was too slow: what the server told was lost. Connect anew to see frames again."; });
inspector.addEventListener("frames", ({ detail }) => log.add(detail));

$("foreign").addEventListener("click", () => {
  document.querySelector("iframe")?.remove();
  const frame = el("iframe", "foreign");
  frame.sandbox = "allow-scripts";
  frame.title = "A page of a foreign origin";
  frame.src = `/foreign.html?${new URLSearchParams({ tab, deflate: 0 })}`;
  document.body.append(frame);
});
addEventListener("message", ({ data }) => {
  if (!data?.foreign) return;
  $("foreign-result").textContent = `${data.foreign}. See the 403 under Handshake.`;
  document.querySelector("iframe")?.remove();
});

const buffered = new Chart($("chart-buffered"));
const wire = new Chart($("chart-wire"));
let last = { received: 0, written: 0 };
let lastTime = performance.now();
setInterval(() => {
  show();
  machine.showFacts();
  const { now } = machine;
  const amount = subject.socket?.bufferedAmount ?? 0;
  const seconds = (performance.now() - lastTime) / 1000; // more than 0.1 in a tab that is not seen
  const speed = ["received", "written"].map(name => Math.max(0, now[name] - last[name]) / seconds);
  [last, lastTime] = [now, performance.now()];
  put("peak-buffered", `peak ${bytes(buffered.add(amount, now.buffered_amount))}`);
  put("peak-wire", `peak ${bytes(wire.add(...speed))}/s`);
  put("now-a", bytes(amount));
  put("now-b", bytes(now.buffered_amount));
  put("now-c", `${bytes(speed[0])}/s`);
  put("now-d", `${bytes(speed[1])}/s`);
}, 100);

inspector.connect();
