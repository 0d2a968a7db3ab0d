// The attacks: one connection for each. What the browser tells, what it answered on the wire, and our verdicts.

import { $, el } from "./dom.js";
import { inspector, url } from "./inspector.js";
import { VIOLATIONS } from "./violations.js";

const PATIENCE = 1500;
/** By the number of an attack: what to call when its connection has begun. */
const waiting = new Map();
/** By the number of a connection: how it ended, or what to call then. */
const told = new Map();

const rows = VIOLATIONS.map(({ name, rule }, number) => {
  const button = el("button", "", name);
  button.addEventListener("click", () => run(number));
  const cells = [el("th", "", button), el("td", "", rule), el("td", "verdict"), el("td", "verdict"), el("td", "verdict")];
  cells[0].scope = "row";
  $("attack-table").tBodies[0].append(el("tr", "", ...cells));
  return { cells };
});

/** Runs one attack after those that run already: the server keeps the bytes of one. */
function run(number) {
  turn = turn.then(() => attack(number));
  return turn;
}
let turn = Promise.resolve();

/** Runs one attack, and fills its row. */
async function attack(number) {
  const { server: response, client: request, isHandshake } = VIOLATIONS[number];
  const [, , browser, client, server] = rows[number].cells;
  browser.textContent = "…";
  const asServer = request ? await inspector.judge("server", request) : "a client sends none";
  // The server keeps the latest bytes for the connection that follows.
  const asClient = await inspector.judge("client", response);
  if (isHandshake) await succeed();
  const begun = new Promise(resolve => waiting.set(number, resolve));
  const socket = new WebSocket(url("/ws", { attack: number, deflate: 1 }));
  socket.binaryType = "arraybuffer";
  const seen = await outcome(socket, isHandshake);
  const connection = await Promise.race([begun, pause(PATIENCE)]);
  const closed = await Promise.race([closing(connection), pause(500)]);
  const wire = closed ? onTheWire(closed) : "";
  // To close cleanly is right only if the Close frame is.
  const isAccepted = /^closes cleanly/.test(seen.text) && /RFC/.test(asClient);
  verdict(browser, `${isAccepted ? "accepts it: " : ""}${seen.text}${seen.isOver ? wire : ""}`);
  verdict(client, asClient);
  verdict(server, asServer);
}

/** Opens a connection. After each one that fails, Firefox waits longer before the next, until one opens. */
function succeed() {
  return new Promise(resolve => {
    const socket = new WebSocket(`ws${location.protocol.slice(4)}//${location.host}/ws?deflate=0`);
    socket.onopen = () => socket.close();
    socket.onclose = resolve;
  });
}

/** What the browser sent: the machine that received it tells. */
function onTheWire({ code, reason, cause }) {
  if (code !== "1006") return `; on the wire: Close with ${code}${reason ? ` “${reason}”` : ""}`;
  return /transport|end/.test(cause) ? "; on the wire: nothing" : `; on the wire: ${cause}`;
}

/** The browser's verdict: what the socket's events tell. */
function outcome(socket, isHandshake) {
  return new Promise(resolve => {
    const messages = [];
    if (isHandshake) socket.onopen = () => setTimeout(() => end("accepts it: the connection is open", false), 300);
    socket.onmessage = ({ data }) => {
      messages.push(typeof data === "string" ? `text of ${data.length} characters` : `binary of ${data.byteLength.toLocaleString("en")} bytes`);
      if (messages.length === 1) setTimeout(() => end(`accepts it: ${messages.join(", ")}`, false), 300);
    };
    socket.onclose = event => end(event.wasClean ? `closes cleanly with ${event.code}` : `fails the connection: code ${event.code}`, true);
    const timer = setTimeout(() => end(messages.length > 0 ? `accepts it: ${messages.join(", ")}` : "waits for the rest", false), PATIENCE);
    function end(text, isOver) {
      clearTimeout(timer);
      socket.onmessage = socket.onclose = null;
      if (!isOver) socket.close();
      resolve({ text, isOver });
    }
  });
}

const pause = milliseconds => new Promise(resolve => setTimeout(resolve, milliseconds));

function closing(connection) {
  return new Promise(resolve => {
    if (connection === undefined) return;
    const entry = told.get(connection) ?? {};
    if (entry.closed) resolve(entry.closed);
    entry.resolve = resolve;
  });
}

/** The connection of the attack with this number has begun. */
export function noteOpen(attack, connection) {
  told.set(connection, {});
  waiting.get(attack)?.(connection);
}

export function noteClosed(connection, closed) {
  const entry = told.get(connection);
  if (!entry) return;
  entry.closed = closed;
  entry.resolve?.(closed);
}

function verdict(cell, text) {
  cell.textContent = text;
  cell.className = `verdict ${/^accepts/.test(text) ? "accepts" : /^(waits|a client)/.test(text) ? "waits" : "refuses"}`;
}

$("attack-all").addEventListener("click", async event => {
  event.target.disabled = true;
  for (const number of rows.keys()) {
    $("attack-count").textContent = `attack ${number + 1} of ${rows.length}`;
    await run(number);
  }
  $("attack-count").textContent = `${rows.length} attacks done`;
  event.target.disabled = false;
});
