// The connection of the left column: a WebSocket of the browser, and all that its interface tells.

import { $, addLine, bytes, el, onSubmit, put } from "./dom.js";
import { inspector, url } from "./inspector.js";

const STATES = ["CONNECTING", "OPEN", "CLOSING", "CLOSED"];
const SLICE_BYTES = 256 * 1024;
const MAX_BUFFERED = 4 * 1024 * 1024;

/** The connection, and its number at the server. */
export const subject = { socket: null, number: 0 };
let begin = performance.now();
/** The binary messages whose echoes are expected, to compare them. */
let expected = [];
let upload = null;
/** The messages of this second. */
let silenced = 0;
let lastSecond = 0;

export function connect() {
  const { subprotocol, deflate } = $("connect").elements;
  const names = subprotocol.value.split(",").filter(name => name);
  const socket = new WebSocket(url("/ws", { deflate: deflate.checked ? 1 : 0, fragment: $("fragment").elements.bytes.value, subject: 1 }), names);
  socket.binaryType = "arraybuffer";
  subject.socket?.close();
  Object.assign(subject, { socket, number: 0 });
  begin = performance.now();
  expected = [];
  upload = null;
  silenced = 0;
  for (const id of ["pause", "cut"]) $(id).checked = false;
  say("info", `new WebSocket(…, [${names.map(name => `"${name}"`).join(", ")}])`);
  socket.onopen = () => {
    say("good", `onopen: protocol "${socket.protocol}", extensions "${socket.extensions}"`);
    if (!connect.hasGreeted) socket.send("Hello");
    connect.hasGreeted = true;
    show();
  };
  socket.onmessage = ({ data }) => {
    if ($("slow").checked) waste(20);
    receive(data);
  };
  socket.onerror = () => say("bad", "onerror: the browser does not say why");
  socket.onclose = event => {
    say(event.wasClean ? "good" : "bad", `onclose: code ${event.code}, reason "${event.reason}", ${event.wasClean ? "clean" : "not clean"}`);
    show();
  };
  show();
}

function receive(data) {
  const sent = typeof data === "string" ? null : expected.shift();
  // 100,000 lines would only make the page slow.
  const second = Math.floor(performance.now() / 1000);
  if (second !== lastSecond) [lastSecond, silenced] = [second, 0];
  silenced += 1;
  if (silenced === 50) say("info", "… more messages in this second");
  if (silenced >= 50) return;
  if (typeof data === "string") return say("info", `onmessage: text "${data.length > 200 ? `${data.slice(0, 200)}…` : data}"`);
  const isSame = sent && isEqual(new Uint8Array(data), sent);
  say("info", `onmessage: binary, ${data.byteLength} bytes${sent ? isSame ? ", the same as sent" : ", NOT as sent" : ""}`);
}

function isEqual(a, b) {
  if (a.length !== b.length) return false;
  for (let at = 0; at < a.length; at += 1) if (a[at] !== b[at]) return false;
  return true;
}

function waste(milliseconds) {
  const end = performance.now() + milliseconds;
  while (performance.now() < end);
}

function say(kind, text) {
  addLine($("events"), el("li", kind, el("time", "", `${((performance.now() - begin) / 1000).toFixed(2)} s`), text));
}

/** Shows the properties of the socket. Called ten times a second, since no event tells of `bufferedAmount`. */
export function show() {
  const { socket } = subject;
  if (!socket) return;
  put("ready-state", STATES[socket.readyState]);
  put("protocol", socket.protocol || "–");
  put("extensions", socket.extensions || "–");
  put("buffered-amount", socket.bufferedAmount.toLocaleString("en"));
  put("connect-button", socket.readyState === WebSocket.OPEN ? "Connect anew" : "Connect");
  if (upload) {
    const written = Math.max(0, upload.sent - socket.bufferedAmount);
    $("progress").value = upload.size ? written / upload.size : 1;
    $("progress-text").textContent = `${bytes(written)} of ${bytes(upload.size)}`;
    if (written >= upload.size || socket.readyState > WebSocket.OPEN) upload = null;
  }
}

function send(data) {
  if (subject.socket?.readyState !== WebSocket.OPEN) return say("bad", "not sent: the connection is not open");
  subject.socket.send(data);
  say("info", `send: ${typeof data === "string" ? `text "${data}"` : `binary, ${data.byteLength} bytes`}; bufferedAmount is now ${subject.socket.bufferedAmount}`);
}

async function sendFile(file) {
  const { socket } = subject;
  if (!file) return say("bad", "no file is chosen");
  if (socket?.readyState !== WebSocket.OPEN) return say("bad", "not sent: the connection is not open");
  const mine = upload = { sent: 0, size: file.size };
  say("info", `sends ${file.name}: ${file.size} bytes`);
  while (mine.sent < file.size && socket.readyState === WebSocket.OPEN) {
    if (socket.bufferedAmount > MAX_BUFFERED) {
      await new Promise(resolve => setTimeout(resolve, 20));
      continue;
    }
    const slice = await file.slice(mine.sent, mine.sent + SLICE_BYTES).arrayBuffer();
    if (socket.readyState !== WebSocket.OPEN) return;
    if (socket.protocol !== "count") expected.push(null); // its echo is not compared
    socket.send(slice);
    mine.sent += slice.byteLength;
  }
}

function noise(size) {
  const data = new Uint8Array(size);
  for (let at = 0; at < size; at += 65536) crypto.getRandomValues(data.subarray(at, Math.min(size, at + 65536)));
  return data;
}

onSubmit("connect", connect);
onSubmit("say", ({ text }) => send(text.value));
onSubmit("big", ({ size }) => {
  const data = noise(Number(size.value));
  if (subject.socket?.readyState === WebSocket.OPEN) {
    if (subject.socket.protocol !== "count") expected.push(data);
    upload = { sent: data.length, size: data.length };
  }
  send(data);
});
onSubmit("file", ({ file }) => sendFile(file.files[0]).catch(error => say("bad", `not sent: ${error.message}`)));
onSubmit("close", ({ code, reason }) => {
  try {
    subject.socket?.close(Number(code.value), reason.value);
  } catch (error) {
    say("bad", error.message);
  }
});
onSubmit("ping", ({ payload }) => inspector.order("ping", subject.number, payload.value));
onSubmit("produce", ({ amount }) => inspector.order("produce", subject.number, amount.value));
onSubmit("fragment", connect); // a setting of the connection
onSubmit("server-close", ({ code, reason }) => inspector.order("close", subject.number, code.value, reason.value));
for (const id of ["pause", "cut"]) {
  $(id).addEventListener("change", event => inspector.order(id, subject.number, event.target.checked ? 1 : 0));
}
