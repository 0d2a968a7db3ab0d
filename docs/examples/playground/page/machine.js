// The right column: the states of the server's machine, its queue, its limits and timers.

import { $, bytes, facts } from "./dom.js";

const SETTINGS = [
  "max_frame_bytes", "max_message_bytes", "max_fragments", "max_outgoing_bytes", "max_outgoing_frame_bytes", "high_water_bytes", "low_water_bytes",
  "max_queued_pongs", "handshake_timeout", "close_timeout", "idle_timeout", "keepalive_interval", "release_after",
];

/** The latest state record. */
export let now = { buffered_amount: 0, received: 0, written: 0 };
let heard = performance.now();

export function noteState(state, [received = 0, written = 0]) {
  if (state.state !== now.state) {
    for (const node of document.querySelectorAll("[data-state]")) node.classList.toggle("lit", node.dataset.state === state.state);
    $("states-label").textContent = `States of a connection. It is ${state.state}.`;
  }
  if (received !== now.received) heard = performance.now();
  now = { received, written };
  for (const [name, value] of Object.entries(state)) now[name] = name === "state" ? value : JSON.parse(value); // numbers and booleans
}

/** Shows the numbers. Called ten times a second: there can be thousands of records. */
export function showFacts() {
  if (now.state === undefined) return;
  facts($("machine-facts"), [
    ["buffered_amount", now.buffered_amount.toLocaleString("en")],
    ["bytes to write", now.outgoing_len.toLocaleString("en")],
    ["is_writable", now.is_writable ? "yes" : "no: above the high water mark"],
    ["is_congested", now.is_congested ? "yes: reading waits" : "no"],
    ["wants_read", now.is_paused ? "yes, but it does not" : now.wants_read ? "yes" : "no"],
    ["to produce", now.to_produce.toLocaleString("en")],
    ["read", bytes(now.received)],
    ["written", bytes(now.written)],
    ["idle timer", now.state === "open" ? `${((performance.now() - heard) / 1000).toFixed(1)} s of silence` : "does not run"],
  ]);
}

/** Shows the settings, from the text that Rust's `Debug` makes of them, and the extension in the response. */
export function showOpen(config, deflate) {
  const value = name => new RegExp(`\\b${name}: (?:Some\\()?([^,)}]*)`).exec(config)?.[1] ?? "";
  const shown = text => /^\d{4,}$/.test(text) ? BigInt(text).toLocaleString("en") : text === "None" ? "none" : text;
  facts($("limits"), [
    ...SETTINGS.map(name => [name, shown(value(name))]),
    ["permessage-deflate", deflate === null ? "not in use" : deflate || "with defaults"],
  ]);
  $("machine-end").textContent = "";
}

export function showClosed({ is_clean: isClean, code, reason, cause, sent_code: sent }) {
  $("machine-end").textContent = `Closed ${isClean === "true" ? "cleanly" : "without a Close of the browser"}: ${cause}. Received code ${code}${reason ? `, “${reason}”` : ""}; sent ${sent || "none"}.`;
}
