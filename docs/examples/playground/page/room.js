// The room that all tabs share.

import { $, addLine, bytes, el, facts, onSubmit } from "./dom.js";
import { inspector, url } from "./inspector.js";

let socket = null;
const { name } = $("join").elements;
name.value = `tab-${Math.floor(Math.random() * 900 + 100)}`;

function join() {
  socket?.close();
  const mine = socket = new WebSocket(url("/ws", { name: name.value.replace(/[^\w-]/g, "") || "someone" }), "room");
  const say = (kind, text) => addLine($("room-log"), el("li", kind, text));
  const button = $("room-say").querySelector("button");
  button.disabled = true; // until it is open
  let heard = 0;
  const seconds = setInterval(() => { heard = 0; }, 1000);
  mine.onopen = () => { say("good", "you are in the room"); button.disabled = false; };
  mine.onmessage = ({ data }) => { heard += 1; if (heard <= 20) say("info", heard === 20 ? "… more in this second" : data); };
  mine.onclose = event => {
    clearInterval(seconds);
    say(event.wasClean ? "good" : "bad", `you have left: ${event.code}`);
    if (mine === socket) button.disabled = true;
  };
}

/** A line with the number of connections and the memory, such as `5000 kB`, then a line for each member: its round trip in µs, 0 if unknown. */
export function showNews(news) {
  const [[connections, memory], ...members] = news.split("\n").map(line => line.split("\t"));
  facts($("server-facts"), [
    ["connections", connections], ["memory of the process", memory ? bytes(parseInt(memory) * 1024) : "not known here"], ["members", members.length],
  ]);
  $("members").tBodies[0].replaceChildren(...members.map(([number, name, roundTrip, buffered, missed]) => el("tr", "",
    el("td", "", `${name} #${number}`), el("td", "", Number(roundTrip) ? `${(roundTrip / 1000).toFixed(1)} ms` : "no answer"),
    el("td", "", bytes(Number(buffered))), el("td", "", Number(missed).toLocaleString("en")))));
}

onSubmit("join", join);
onSubmit("room-say", ({ text }) => socket?.send(text.value));
for (const button of document.querySelectorAll("[data-bot]")) {
  button.addEventListener("click", () => inspector.order("bot", 0, button.dataset.bot));
}
