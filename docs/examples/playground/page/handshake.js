// The opening handshake, line by line, and how the accept value is computed (RFC 6455 4).

import { $, el, hex } from "./dom.js";
import { store } from "./store.js";

const GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const MEANINGS = {
  "host": "The server’s name and port: required in HTTP/1.1.",
  "connection": "Upgrade is an option of this hop, and not for what is behind a proxy.",
  "upgrade": "The protocol to change to (RFC 6455 4.1).",
  "origin": "The page’s origin. A browser always sends it; the server decides (10.2).",
  "sec-websocket-version": "13, the version of RFC 6455 (4.1).",
  "sec-websocket-key": "16 random bytes in base64. They only prove that the server understands WebSockets.",
  "sec-websocket-accept": "The proof, computed from the key (4.2.2).",
  "sec-websocket-protocol": "The subprotocols that the page offers; in a response the one that the server has chosen.",
  "sec-websocket-extensions": "Offered extensions; in a response those that are in use (9.1, RFC 7692).",
  "content-length": "The size of the body.",
  "user-agent": "The browser.",
  "cache-control": "No cache may answer in the server’s place.",
  "pragma": "The same for HTTP/1.0.",
  "accept-encoding": "For HTTP bodies: compression of messages is an extension.",
  "accept-language": "The user’s languages.",
  "cookie": "Sent with a WebSocket’s request too, also from foreign pages: hence the check of the origin.",
};
const decoder = new TextDecoder();
const list = $("handshake-choice");

/** Notes the head of a connection, and shows it. */
export function noteHead(number, { way, bytes }) {
  store.addHead(number, way, bytes);
  let option = [...list.options].find(option => Number(option.value) === number);
  if (!option) {
    option = el("option", "");
    option.value = number;
    list.prepend(option);
    while (list.options.length > 50) list.lastElementChild.remove();
    list.value = number;
  }
  const status = decoder.decode(store.heads.get(number)[1] ?? new Uint8Array()).split(" ")[1] ?? "no response yet";
  option.textContent = `#${number}: ${status}`;
  if (Number(list.value) === number) show(number);
}

function show(number) {
  const [request, response] = (store.heads.get(number) ?? [null, null]).map(bytes => bytes ? decoder.decode(bytes) : "");
  fill($("request"), request);
  fill($("response"), response);
  explainAccept(valueOf(request, "sec-websocket-key"), valueOf(response, "sec-websocket-accept"));
}

const linesOf = head => head.split("\r\n").filter(line => line);
const valueOf = (head, name) => linesOf(head).find(line => line.toLowerCase().startsWith(`${name}:`))?.slice(name.length + 1).trim();

function fill(target, head) {
  const [first, ...lines] = linesOf(head);
  if (!first) return target.replaceChildren(el("div", "", el("dt", "", "–"), el("dd", "", "nothing yet")));
  const meaning = /^HTTP/.test(first)
    ? { 101: "The protocol changes behind the empty line.", 403: "Refused: this origin may not connect. No browser tells a page this." }[first.split(" ")[1]] ?? "A plain HTTP response."
    : "GET and HTTP/1.1 are required (4.1).";
  target.replaceChildren(...[[first, meaning], ...lines.map(line => [line, MEANINGS[line.split(":")[0].toLowerCase()] ?? ""])]
    .map(([line, text]) => el("div", "", el("dt", "", el("code", "", line)), el("dd", "", text))));
}

async function explainAccept(key, accept) {
  const steps = $("accept");
  if (!key) return steps.replaceChildren(el("li", "", "There was no key."));
  const joined = key + GUID;
  const rows = [["The key of the request", key], ["followed by the GUID of RFC 6455 1.3", joined]];
  if (crypto.subtle) { // only on localhost and over TLS
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-1", new TextEncoder().encode(joined)));
    rows.push(["SHA-1 of these 60 bytes", Array.from(digest, byte => hex(byte)).join(" ")]);
    const computed = btoa(String.fromCharCode(...digest));
    rows.push(["in base64", computed]);
    rows.push(["The server’s value", accept ? `${accept}, ${accept === computed ? "which is the same" : "which is NOT the same"}` : "none: it has not accepted"]);
  }
  steps.replaceChildren(...rows.map(([name, value]) => el("li", "", `${name}: `, el("code", "", value))));
}

list.addEventListener("change", () => show(Number(list.value)));
