// The right column: the states of the server's machine, its queue, its limits and timers.

import { $, bytes, facts } from "./dom.js";

const SETTINGS = [
  "max_frame_bytes", "max_message_bytes", "max_fragments", "max_outgoing_bytes", "max_outgoing_frame_bytes", "high_water_bytes", "low_water_bytes",
  "max_queued_pongs", "handshake_timeout", "close_timeout", "idle_timeout", "keepalive_interval", "release_after",
];

/** The latest state record. */
export let now = { buffered: 0, received: 0, written: 0 };
let heard = performance.now();

export function noteState(state, [received = 0, written = 0]) {
  if (state.state !== now.state) {
    for (const node of document.querySelectorAll("[data-state]")) node.classList.toggle("lit", node.dataset.state === state.state);
    $("states-label").textContent = `States of a connection. It is ${state.state}.`;
  }
  if (received !== now.received) heard = performance.now();
  now = { received, written };
  for (const [name, value] of Object.entries(state)) now[name] = /^\d+$/.test(value) ? Number(value) : value;
  for (const name of ["writable", "congested", "reads", "paused"]) now[name] = state[name] === "true";
}

/** Shows the numbers. Called ten times a second: there can be thousands of records. */
export function showFacts() {
  if (now.state === undefined) return;
  facts($("machine-facts"), [
    ["buffered_amount", now.buffered.toLocaleString("en")],
    ["bytes to write", now.outgoing.toLocaleString("en")],
    ["is_writable", now.writable ? "yes" : "no: above the high water mark"],
    ["is_congested", now.congested ? "yes: reading waits" : "no"],
    ["wants_read", now.paused ? "yes, but it does not" : now.reads ? "yes" : "no"],
    ["to produce", now.left.toLocaleString("en")],
    ["read", bytes(now.received)],
    ["written", bytes(now.written)],
    ["idle timer", now.state === "open" ? `${((performance.now() - heard) / 1000).toFixed(1)} s of silence` : "does not run"],
  ]);
}

/** Shows the settings, from the text that Rust's `Debug` makes of them. */
export function showOpen({ config, deflate }) {
  const value = name => new RegExp(`\\b${name}: (?:Some\\()?([^,)}]*)`).exec(config)?.[1] ?? "";
  const shown = text => /^\d{4,}$/.test(text) ? BigInt(text).toLocaleString("en") : text === "None" ? "none" : text;
  facts($("limits"), [
    ...SETTINGS.map(name => [name, shown(value(name))]),
    ["permessage-deflate", deflate === "None" ? "not in use" : /\{ (.*) \}/.exec(deflate)?.[1] ?? deflate],
  ]);
  $("machine-end").textContent = "";
}

export function showClosed({ clean, code, reason, cause, sent }) {
  $("machine-end").textContent = `Closed ${clean === "true" ? "cleanly" : "without a Close of the browser"}: ${cause}. Received code ${code}${reason ? `, “${reason}”` : ""}; sent ${sent || "none"}.`;
}
